"""Augmentation settings: the `[augmentation]` table of a recipe."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, create_model, model_validator

from tinysight.augmentation import transforms
from tinysight.augmentation.transform import Transform


def _find_transforms() -> tuple[type[Transform], ...]:
    """Return the transforms that the modules of `transforms` define, in their order."""
    modules = [
        importlib.import_module(f"{transforms.__name__}.{module.name}")
        for module in pkgutil.iter_modules(transforms.__path__)
    ]
    return tuple(
        sorted(
            (
                member
                for module in modules
                for member in vars(module).values()
                if isinstance(member, type) and issubclass(member, Transform) and "order" in vars(member)
            ),
            key=lambda kind: kind.order,
        )
    )


TRANSFORMS = _find_transforms()
"""All transforms, in the order in which they are applied."""

if TYPE_CHECKING:

    class _Settings(BaseModel):
        """The settings that other code reads by name."""

        horizontal_flip: bool = False
        alternating_flip: bool = False
        crop_padding: int = 0

else:
    _Settings = create_model(
        "_Settings",
        __config__=Transform.model_config,
        **{
            name: (field.annotation, field)
            for transform in TRANSFORMS
            for name, field in transform.model_fields.items()
        },
    )


class Augmentation(_Settings):
    """Settings of all transforms of training images. Everything is off by default."""

    @model_validator(mode="after")
    def _check_transforms(self) -> Self:
        for transform in self._all():
            transform.check()
        return self

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """The active transforms, in the order in which they are applied."""
        return tuple(transform for transform in self._all() if transform.is_active)

    def with_random_flips(self) -> Self:
        """Return a copy with random instead of alternating flips, for images outside of epochs."""
        flip = self.horizontal_flip or self.alternating_flip
        return self.model_copy(update={"horizontal_flip": flip, "alternating_flip": False})

    def describe(self) -> str:
        """Describe the active settings in one line.

        >>> Augmentation(rotation=40, width_shift=0.2, height_shift=0.2, horizontal_flip=True).describe()
        'rotation ±40°, shift ±0.2, flip, fill nearest'
        """
        return ", ".join(filter(None, (transform.describe() for transform in self._all()))) or "none"

    def _all(self) -> list[Transform]:
        values = dict(self)  # validated already
        return [kind.model_construct(**{name: values[name] for name in kind.model_fields}) for kind in TRANSFORMS]
