"""Preview of augmented images, as one figure or as files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from tinysight._util.files import write_bytes
from tinysight._util.progress import SILENT, Progress
from tinysight.augmentation.config import Augmentation
from tinysight.augmentation.pipeline import build_augmentation
from tinysight.data.dataset import Pixels
from tinysight.data.display import replace_unprintable

_TILE = 128  # Small images are enlarged by an integer factor, to at most this many pixels.
_GAP, _MARGIN = 6, 20
_FONT_SIZE, _LINE = 17, 26
_INK, _FAINT = "#222222", "#666666"
_PAPER = 238  # Light gray, so that the borders of white images are visible.


def render_preview(
    pixels: Pixels, labels: Sequence[str], config: Augmentation, copies: int = 5, seed: int = 0
) -> Image.Image:
    """Draw one row per image: label, original and `copies` augmented versions, enlarged.

    Args:
        pixels: uint8, (n, 3, height, width), n at least 1.
        labels: n names, written beside the images.
        config: the augmentation; its description is written at the top.
        copies: augmented versions of each image, 1 or more.
        seed: seed of the random draws.

    Returns:
        An RGB image.
    """
    labels = [replace_unprintable(label) for label in labels]
    originals = _mosaic(pixels[:, np.newaxis])
    augmented = _mosaic(_augment(pixels, config, copies, torch.Generator().manual_seed(seed)))
    left = _MARGIN + int(max(_font().getlength(label) for label in labels)) + 2 * _GAP
    line = left + originals.width + 2 * _GAP
    start = line + 2 * _GAP
    title = _wrap(f"augmentation: {config.describe()}", start + augmented.width - _MARGIN)
    top = _MARGIN + (len(title) + 1) * _LINE + _GAP

    sheet = Image.new("RGB", (start + augmented.width + _MARGIN, top + originals.height + _MARGIN), (_PAPER,) * 3)
    sheet.paste(originals, (left, top))
    sheet.paste(augmented, (start, top))
    draw = ImageDraw.Draw(sheet)
    draw.line((line, top, line, top + originals.height), _FAINT)
    for number, text in enumerate(title):
        draw.text((_MARGIN, _MARGIN + number * _LINE), text, _INK, _font())
    for x, heading in ((left, "original"), (start, "augmented")):
        draw.text((x, top - _GAP), heading, _FAINT, _font(), anchor="ld")
    for row, label in enumerate(labels):
        middle = top + (row + 0.5) * (originals.height + _GAP) / len(labels) - _GAP / 2
        draw.text((left - 2 * _GAP, middle), label, _INK, _font(), anchor="rm")
    return sheet


def save_augmented_images(
    pixels: Pixels,
    config: Augmentation,
    folder: Path,
    copies: int = 5,
    seed: int = 0,
    progress: Progress = SILENT,
) -> list[Path]:
    """Write `copies` augmented versions of each image to `folder`, as JPEG, named `00016-3.jpg` (image, copy).

    Args:
        pixels: uint8, (n, 3, height, width).
        config: the augmentation.
        folder: created if missing; existing files with these names are replaced.
        copies: augmented versions of each image, 1 or more.
        seed: seed of the random draws.
        progress: receives the number of finished images.

    Returns:
        The paths in the order of writing.

    Raises:
        StorageError: a file cannot be written.
    """
    generator = torch.Generator().manual_seed(seed)
    files = []
    progress.start("Writing augmented images", len(pixels), "images")
    for index, image in enumerate(pixels):
        for number, copy in enumerate(_augment(image[np.newaxis], config, copies, generator)[0]):
            files.append(folder / f"{index:05d}-{number}.jpg")
            write_bytes(files[-1], _jpeg(copy))
        progress.advance(1)
    progress.finish()
    return files


def _augment(pixels: Pixels, config: Augmentation, copies: int, generator: torch.Generator) -> Pixels:
    """Return augmented images, uint8, (n, copies, 3, height, width)."""
    repeated = torch.from_numpy(np.repeat(pixels, copies, axis=0))
    augmented: Pixels = (
        build_augmentation(config.with_random_flips())(repeated, generator).round().to(torch.uint8).numpy()
    )
    return augmented.reshape(len(pixels), copies, *pixels.shape[1:])


def _mosaic(tiles: Pixels) -> Image.Image:
    """Arrange tiles, (rows, columns, 3, height, width), in one image, enlarged, with gaps between them."""
    scale = max(1, _TILE // max(tiles.shape[3:]))
    large = tiles.repeat(scale, axis=3).repeat(scale, axis=4)
    spaced = np.pad(large, [(0, 0)] * 3 + [(0, _GAP)] * 2, constant_values=_PAPER)
    rows, columns, _, height, width = spaced.shape
    sheet = spaced.transpose(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)
    return Image.fromarray(sheet[:-_GAP, :-_GAP])


def _wrap(text: str, width: float) -> list[str]:
    """Wrap `text` at spaces into lines of at most `width` pixels; a longer word gets its own line."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font().getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


@cache
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib  # Only for its DejaVu Sans font, which covers most scripts.

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", _FONT_SIZE)


def _jpeg(image: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
