"""What may be done to a training image, and how strongly: the `[augmentation]` table of a recipe."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tinysight.ranges import Between, OneOf


class Augmentation(BaseModel):
    """Ranges that every image draws its own values from; all of it is off unless asked for.

    The names follow Keras' `ImageDataGenerator` (`rotation_range` is `rotation`, and so on), so that a
    notebook's setting can be copied. So does the unit of `shear`: degrees. A notebook that says
    `shear_range=.2` shears by at most a fifth of a degree, and so does `shear = 0.2` here.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    rotation: Annotated[float, Between(0, 45, if_on=True)] = Field(
        0.0, ge=0, le=180, description="Largest rotation either way, degrees, 0 to 180."
    )
    width_shift: Annotated[float, Between(0, 0.3, if_on=True)] = Field(
        0.0, ge=0, lt=1, description="Largest shift to the left or right, share of the width, 0 to below 1."
    )
    height_shift: Annotated[float, Between(0, 0.3, if_on=True)] = Field(
        0.0, ge=0, lt=1, description="Largest shift up or down, share of the height, 0 to below 1."
    )
    shear: float = Field(0.0, ge=0, lt=90, description="Largest shear either way, degrees, 0 to below 90.")
    zoom: Annotated[float, Between(0, 0.3, if_on=True)] = Field(
        0.0,
        ge=0,
        lt=1,
        description="z draws a factor from 1-z to 1+z for the width and another for the height, 0 to below 1.",
    )
    horizontal_flip: Annotated[bool, OneOf((False, True), when=("augmentation.alternating_flip", False))] = Field(
        False, description="Mirror every second image, left to right, by chance."
    )
    alternating_flip: bool = Field(
        False,
        description="Mirror every image in every second epoch (arXiv:2404.00498); chance says which begin mirrored.",
    )
    fill: Literal["nearest", "reflect", "constant"] = Field(
        "nearest",
        description="What rotation, shift, shear and zoom bring in from outside the image: the nearest edge "
        "pixel, the image mirrored at its edge, or fill_value.",
    )
    fill_value: float = Field(0.0, ge=0, le=255, description='Grey level that fill = "constant" brings in, 0 to 255.')
    crop_padding: Annotated[int, Between(0, 4)] = Field(
        0,
        ge=0,
        le=512,
        description="Pixels of mirrored border to add on each side before a random crop of the image's own "
        "size, 0 to 512 and less than the image's height and width.",
    )
    cutout: Annotated[int, Between(0, 12)] = Field(
        0, ge=0, le=512, description="Side of the square that is blanked at a random place, pixels, 0 to 512."
    )
    brightness: float = Field(
        0.0, ge=0, le=1, description="b multiplies the pixels by a factor from 1-b to 1+b, 0 to 1."
    )
    contrast: float = Field(
        0.0, ge=0, le=1, description="c multiplies the contrast by a factor from 1-c to 1+c, 0 to 1."
    )
    saturation: float = Field(
        0.0, ge=0, le=1, description="s multiplies the saturation by a factor from 1-s to 1+s, 0 to 1."
    )

    @model_validator(mode="after")
    def _fill_value_needs_constant(self) -> Self:
        if self.fill_value and self.fill != "constant":
            raise ValueError('fill_value is only used with fill = "constant"; set that too, or leave it out')
        return self

    @model_validator(mode="after")
    def _one_way_to_flip(self) -> Self:
        if self.horizontal_flip and self.alternating_flip:
            raise ValueError("horizontal_flip and alternating_flip are two ways to do one thing; choose one")
        return self

    @property
    def moves(self) -> bool:
        """Whether pixels are interpolated: any of rotation, shift, shear and zoom is on."""
        return any((self.rotation, self.width_shift, self.height_shift, self.shear, self.zoom))

    def by_chance(self) -> Augmentation:
        """Return the same for images that belong to no epoch: chance decides about every flip."""
        flip = self.horizontal_flip or self.alternating_flip
        return self.model_copy(update={"horizontal_flip": flip, "alternating_flip": False})
