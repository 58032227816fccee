"""Augmentation settings: the `[augmentation]` table of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tinysight.recipes.search_space import Choices, Uniform


class Augmentation(BaseModel):
    """Ranges of the random transforms of each image. Everything is off by default.

    Names and units follow Keras' `ImageDataGenerator` (`rotation_range` is `rotation`, and so on), so settings can be
    copied from a notebook. As in Keras, `shear` is in degrees: `shear_range=.2` is a fifth of a degree.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    rotation: Annotated[float, Uniform(0, 45, only_if_nonzero=True)] = Field(
        0.0, ge=0, le=180, description="Maximum rotation in either direction, degrees, 0 to 180."
    )
    width_shift: Annotated[float, Uniform(0, 0.3, only_if_nonzero=True)] = Field(
        0.0, ge=0, lt=1, description="Maximum horizontal shift, fraction of the width, 0 to below 1."
    )
    height_shift: Annotated[float, Uniform(0, 0.3, only_if_nonzero=True)] = Field(
        0.0, ge=0, lt=1, description="Maximum vertical shift, fraction of the height, 0 to below 1."
    )
    shear: float = Field(0.0, ge=0, lt=90, description="Maximum shear in either direction, degrees, 0 to below 90.")
    zoom: Annotated[float, Uniform(0, 0.3, only_if_nonzero=True)] = Field(
        0.0,
        ge=0,
        lt=1,
        description="z scales width and height by independent factors from 1-z to 1+z, 0 to below 1.",
    )
    horizontal_flip: Annotated[bool, Choices((False, True), condition=("augmentation.alternating_flip", False))] = (
        Field(False, description="Flip each image horizontally with probability 1/2.")
    )
    alternating_flip: bool = Field(
        False,
        description="Flip each image in every second epoch (arXiv:2404.00498), starting with a random flip.",
    )
    fill_mode: Literal["nearest", "reflect", "constant"] = Field(
        "nearest",
        description="How rotation, shift, shear and zoom fill pixels outside the image: the nearest edge "
        "pixel, a reflection of the image, or fill_value.",
    )
    fill_value: float = Field(0.0, ge=0, le=255, description='Gray level for fill_mode = "constant", 0 to 255.')
    crop_padding: Annotated[int, Uniform(0, 4)] = Field(
        0,
        ge=0,
        le=512,
        description="Reflection padding on each side before a random crop of the original size, pixels, "
        "0 to 512 and less than the image's height and width.",
    )
    cutout: Annotated[int, Uniform(0, 12)] = Field(
        0, ge=0, le=512, description="Side of a gray square at a random position, pixels, 0 to 512."
    )
    brightness: float = Field(0.0, ge=0, le=1, description="b scales the pixels by a factor from 1-b to 1+b, 0 to 1.")
    contrast: float = Field(0.0, ge=0, le=1, description="c scales the contrast by a factor from 1-c to 1+c, 0 to 1.")
    saturation: float = Field(
        0.0, ge=0, le=1, description="s scales the saturation by a factor from 1-s to 1+s, 0 to 1."
    )

    @model_validator(mode="after")
    def _fill_value_needs_constant(self) -> Self:
        if self.fill_value and self.fill_mode != "constant":
            raise ValueError('fill_value needs fill_mode = "constant". Set fill_mode, or remove fill_value')
        return self

    @model_validator(mode="after")
    def _flips_are_exclusive(self) -> Self:
        if self.horizontal_flip and self.alternating_flip:
            raise ValueError("horizontal_flip and alternating_flip exclude each other. Remove one of them")
        return self

    @property
    def is_affine(self) -> bool:
        """Whether rotation, shift, shear or zoom is on, so that pixels are interpolated."""
        return any((self.rotation, self.width_shift, self.height_shift, self.shear, self.zoom))

    def with_random_flips(self) -> Augmentation:
        """Return a copy with random instead of alternating flips, for images outside of epochs."""
        flip = self.horizontal_flip or self.alternating_flip
        return self.model_copy(update={"horizontal_flip": flip, "alternating_flip": False})


def describe_augmentation(config: Augmentation) -> str:
    """Describe the active settings of `config` in one line.

    >>> describe_augmentation(Augmentation(rotation=40, width_shift=0.2, height_shift=0.2, horizontal_flip=True))
    'rotation ±40°, shift ±0.2, flip, fill nearest'
    """
    return ", ".join([*_geometry(config), *_color(config), *_cutout(config)]) or "none"


def _geometry(config: Augmentation) -> list[str]:
    parts = []
    if config.rotation:
        parts.append(f"rotation ±{config.rotation:g}°")
    parts += _shift(config)
    if config.shear:
        parts.append(f"shear ±{config.shear:g}°")
    if config.zoom:
        parts.append(f"zoom {1 - config.zoom:g} to {1 + config.zoom:g}")
    if config.horizontal_flip:
        parts.append("flip")
    if config.alternating_flip:
        parts.append("alternating flip")
    if config.is_affine:
        value = f" {config.fill_value:g}" if config.fill_mode == "constant" else ""
        parts.append(f"fill {config.fill_mode}{value}")
    if config.crop_padding:
        parts.append(f"crop ±{config.crop_padding} px")
    return parts


def _shift(config: Augmentation) -> list[str]:
    if config.width_shift == config.height_shift:
        return [f"shift ±{config.width_shift:g}"] if config.width_shift else []
    shifts = {"width": config.width_shift, "height": config.height_shift}
    return [f"{name} shift ±{limit:g}" for name, limit in shifts.items() if limit]


def _color(config: Augmentation) -> list[str]:
    strengths = {
        "brightness": config.brightness,
        "contrast": config.contrast,
        "saturation": config.saturation,
    }
    return [f"{name} ±{strength:g}" for name, strength in strengths.items() if strength]


def _cutout(config: Augmentation) -> list[str]:
    return [f"cutout {config.cutout} px"] if config.cutout else []
