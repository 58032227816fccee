"""Interface of the transforms: settings, description and effect of one kind of augmentation."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Transform(BaseModel):
    """One transform of training images.

    Its fields are keys of a recipe's `[augmentation]` table, so no two transforms share a name. With the default
    values a transform is off. A module of `tinysight.augmentation.transforms` defines one or several transforms. It
    imports torch and numpy only inside functions, because recipes are validated without them.

    Attributes:
        order: position in the sequence of transforms; smaller is earlier.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True)

    order: ClassVar[int]

    @property
    @abstractmethod
    def is_active(self) -> bool:
        """Whether the transform changes images."""

    @abstractmethod
    def describe(self) -> str:
        """Return the active settings in a few words, separated by commas; "" if there are none."""

    @abstractmethod
    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Transform each image on its own.

        Args:
            images: float, (n, 3, height, width), RGB, 0..255; not modified.
            generator: source of all random numbers. It may be on a different device than the images.

        Returns:
            Float images of the same shape, 0..255 up to rounding.
        """

    def check(self) -> None:
        """Raise ValueError if fields contradict each other, with a message that ends in the fix, without a period."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.check()
        return self


class LabelMixing(Transform):
    """A transform that mixes each image with another one of its batch, and the labels in the same proportion."""

    @abstractmethod
    def mix(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Mix the images of a batch.

        Args:
            images: float, (n, 3, height, width), RGB, 0..255; not modified.
            generator: source of all random numbers.

        Returns:
            The mixed images; the index of the other image that each was mixed with, int64 (n,); and the weight of its
            own label, float (n,), 0..1. The other label has the rest of the weight.
        """

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mixed images of `mix`."""
        return self.mix(images, generator)[0]
