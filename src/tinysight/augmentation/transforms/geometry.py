"""Geometric transforms: affine maps, flips and crops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from tinysight._util.errors import InputError
from tinysight.augmentation.transform import Transform
from tinysight.recipes.search_space import Choices, Uniform

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tinysight.augmentation.affine import AffineParameters


class Affine(Transform):
    """Rotation, shift, shear, zoom and flip as one affine map.

    Names and units follow Keras' `ImageDataGenerator` (`rotation_range` is `rotation`, and so on), so settings can be
    copied from a notebook. As in Keras, `shear` is in degrees: `shear_range=.2` is a fifth of a degree.
    """

    order = 0

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

    def check(self) -> None:
        """Raise ValueError for a fill value without constant fill, and for two kinds of flips."""
        if self.fill_value and self.fill_mode != "constant":
            raise ValueError('fill_value needs fill_mode = "constant". Set fill_mode, or remove fill_value')
        if self.horizontal_flip and self.alternating_flip:
            raise ValueError("horizontal_flip and alternating_flip exclude each other. Remove one of them")

    @property
    def interpolates(self) -> bool:
        """Whether rotation, shift, shear or zoom is on, so that pixels are interpolated."""
        return any((self.rotation, self.width_shift, self.height_shift, self.shear, self.zoom))

    @property
    def is_active(self) -> bool:
        """Whether images are mapped or flipped at random. The loader does alternating flips, which need the epoch."""
        return self.interpolates or self.horizontal_flip

    def describe(self) -> str:
        """Return the active settings in a few words."""
        fill = self.fill_mode + (f" {self.fill_value:g}" if self.fill_mode == "constant" else "")
        parts = {
            f"rotation ±{self.rotation:g}°": self.rotation,
            **self._shifts(),
            f"shear ±{self.shear:g}°": self.shear,
            f"zoom {1 - self.zoom:g} to {1 + self.zoom:g}": self.zoom,
            "flip": self.horizontal_flip,
            "alternating flip": self.alternating_flip,
            f"fill {fill}": self.interpolates,
        }
        return ", ".join(text for text, is_on in parts.items() if is_on)

    def _shifts(self) -> dict[str, float]:
        if self.width_shift == self.height_shift:
            return {f"shift ±{self.width_shift:g}": self.width_shift}
        return {
            f"width shift ±{self.width_shift:g}": self.width_shift,
            f"height shift ±{self.height_shift:g}": self.height_shift,
        }

    def sample(self, n: int, height: int, width: int, generator: torch.Generator) -> AffineParameters:
        """Draw maps for `n` images of `height` x `width` pixels, uniformly from the ranges.

        Each image uses seven random numbers even if some are disabled, so changing one range does not change the
        others.
        """
        import torch

        from tinysight.augmentation.affine import AffineParameters

        uniform = torch.rand(7, n, generator=generator, device=generator.device)
        theta, tx, ty, shear, zx, zy = 2 * uniform[:6] - 1
        return AffineParameters(
            theta=theta * self.rotation,
            tx=tx * self.width_shift * width,
            ty=ty * self.height_shift * height,
            shear=shear * self.shear,
            zx=1 + zx * self.zoom,
            zy=1 + zy * self.zoom,
            flip=(uniform[6] < 0.5) & self.horizontal_flip,
        )

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Map each image by its own random map; an affine map includes the flip at no cost."""
        from tinysight.augmentation import affine

        n, _, height, width = images.shape
        if self.interpolates:
            parameters = self.sample(n, height, width, generator)
            return affine.apply_affine(images, parameters, self.fill_mode, self.fill_value)
        if self.horizontal_flip:
            return affine.horizontal_flip(images, affine.sample_flips(n, generator))
        return images


class Crop(Transform):
    """Random crop of the original size, after padding by reflection."""

    order = 10

    crop_padding: Annotated[int, Uniform(0, 4)] = Field(
        0,
        ge=0,
        le=512,
        description="Reflection padding on each side before a random crop of the original size, pixels, "
        "0 to 512 and less than the image's height and width.",
    )

    @property
    def is_active(self) -> bool:
        """Whether images are padded."""
        return self.crop_padding > 0

    def describe(self) -> str:
        """Return the active settings in a few words."""
        return f"crop ±{self.crop_padding} px" if self.crop_padding else ""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Crop each image at its own random position."""
        rows, columns = sample_crop_offsets(len(images), self.crop_padding, generator)
        return padded_crop(images, rows, columns, self.crop_padding)


def sample_crop_offsets(n: int, padding: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw the top row and left column of `n` crops, 0..2 `padding`; int64, (n,) each."""
    import torch

    rows, columns = torch.randint(0, 2 * padding + 1, (2, n), generator=generator, device=generator.device)
    return rows, columns


def padded_crop(images: Tensor, rows: Tensor, columns: Tensor, padding: int) -> Tensor:
    """Pad by reflection without repeating the edge, and crop to the original size.

    Args:
        images: (n, channels, height, width).
        rows: int64, (n,), the top row of each crop in its padded image, 0..2 `padding`.
        columns: int64, (n,), the left column of each crop.
        padding: pixels on each side, less than height and width.

    Returns:
        A new tensor of the same shape.

    Raises:
        InputError: the images are not larger than the padding.
    """
    channels, height, width = images.shape[1:]
    if padding >= min(height, width):
        raise InputError(
            f"crop_padding is {padding} pixels, but the images are {height} x {width}. "
            f"Use at most {min(height, width) - 1}."
        )
    source_rows = _reflected(rows, height, padding).unsqueeze(2)
    source_columns = _reflected(columns, width, padding).unsqueeze(1)
    index = (source_rows * width + source_columns).flatten(1).unsqueeze(1)  # (n, 1, height * width)
    index = index.expand(-1, channels, -1).to(images.device)
    return images.flatten(2).gather(2, index).view_as(images)


def _reflected(offsets: Tensor, size: int, padding: int) -> Tensor:
    """Return the source position of each position of each crop, (n, size)."""
    import torch

    padded = torch.arange(size, device=offsets.device) + offsets.unsqueeze(1) - padding
    last = size - 1
    return last - (last - padded.abs()).abs()
