"""Augmentation settings: the `[augmentation]` table of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tinysight.ranges import Between, OneOf


class Augmentation(BaseModel):
    """Ranges of the random transforms of each image. Everything is off by default.

    Names and units follow Keras' `ImageDataGenerator` (`rotation_range` is `rotation`, and so on), so settings can be
    copied from a notebook. As in Keras, `shear` is in degrees: `shear_range=.2` is a fifth of a degree.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    rotation: Annotated[float, Between(0, 45, if_on=True)] = Field(
        0.0, ge=0, le=180, description="Maximum rotation in either direction, degrees, 0 to 180."
    )
    width_shift: Annotated[float, Between(0, 0.3, if_on=True)] = Field(
        0.0, ge=0, lt=1, description="Maximum horizontal shift, fraction of the width, 0 to below 1."
    )
    height_shift: Annotated[float, Between(0, 0.3, if_on=True)] = Field(
        0.0, ge=0, lt=1, description="Maximum vertical shift, fraction of the height, 0 to below 1."
    )
    shear: float = Field(0.0, ge=0, lt=90, description="Maximum shear in either direction, degrees, 0 to below 90.")
    zoom: Annotated[float, Between(0, 0.3, if_on=True)] = Field(
        0.0,
        ge=0,
        lt=1,
        description="z scales width and height by independent factors from 1-z to 1+z, 0 to below 1.",
    )
    horizontal_flip: Annotated[bool, OneOf((False, True), when=("augmentation.alternating_flip", False))] = Field(
        False, description="Flip each image horizontally with probability 1/2."
    )
    alternating_flip: bool = Field(
        False,
        description="Flip each image in every second epoch (arXiv:2404.00498), starting with a random flip.",
    )
    fill: Literal["nearest", "reflect", "constant"] = Field(
        "nearest",
        description="How rotation, shift, shear and zoom fill pixels outside the image: the nearest edge "
        "pixel, a reflection of the image, or fill_value.",
    )
    fill_value: float = Field(0.0, ge=0, le=255, description='Gray level for fill_mode = "constant", 0 to 255.')
    crop_padding: Annotated[int, Between(0, 4)] = Field(
        0,
        ge=0,
        le=512,
        description="Reflection padding on each side before a random crop of the original size, pixels, "
        "0 to 512 and less than the image's height and width.",
    )
    cutout: Annotated[int, Between(0, 12)] = Field(
        0, ge=0, le=512, description="Side of a gray square at a random position, pixels, 0 to 512."
    )
    brightness: float = Field(0.0, ge=0, le=1, description="b scales the pixels by a factor from 1-b to 1+b, 0 to 1.")
    contrast: float = Field(0.0, ge=0, le=1, description="c scales the contrast by a factor from 1-c to 1+c, 0 to 1.")
    saturation: float = Field(
        0.0, ge=0, le=1, description="s scales the saturation by a factor from 1-s to 1+s, 0 to 1."
    )

    @model_validator(mode="after")
    def _fill_value_needs_constant(self) -> Self:
        if self.fill_value and self.fill != "constant":
            raise ValueError('fill_value needs fill = "constant". Set fill, or remove fill_value')
        return self

    @model_validator(mode="after")
    def _flips_are_exclusive(self) -> Self:
        if self.horizontal_flip and self.alternating_flip:
            raise ValueError("horizontal_flip and alternating_flip exclude each other. Remove one of them")
        return self

    @property
    def moves(self) -> bool:
        """Whether rotation, shift, shear or zoom is on, so that pixels are interpolated."""
        return any((self.rotation, self.width_shift, self.height_shift, self.shear, self.zoom))

    def by_chance(self) -> Augmentation:
        """Return a copy with random instead of alternating flips, for images outside of epochs."""
        flip = self.horizontal_flip or self.alternating_flip
        return self.model_copy(update={"horizontal_flip": flip, "alternating_flip": False})
