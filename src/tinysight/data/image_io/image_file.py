"""Decode one image from a file or bytes, with limits against hostile input.

The result is pixels or an ImageError, for any input. The formats are limited to `FORMATS`. The number of bytes is
limited, the number of pixels is checked before decoding, and truncated files are rejected. The rules follow Pillow's
.github/SECURITY.md.
"""

from __future__ import annotations

import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from tinysight._util.errors import ImageError
from tinysight.data.crops import CENTER_CROP, Crop, Crops
from tinysight.data.dataset import Pixels
from tinysight.data.image_io.deep_color import BITS, bits_of, is_deep, with_real_range
from tinysight.data.image_io.formats import HEAD_BYTES, HEIF_HINT, READS_HEIF, image_format


def extract_crops(image: Image.Image, size: tuple[int, int], crops: Crops = CENTER_CROP) -> Pixels:
    """Return crops of a Pillow image of any mode: uint8, (crops, 3, height, width), upright and opaque.

    A crop that would have to be enlarged, because the image is too small, is replaced by the first crop.
    """
    image = to_rgb(apply_exif_orientation(image))
    pixels = np.empty((len(crops), 3, *size), dtype=np.uint8)
    pixels[:] = _resized_crop(image, size, crops[0])
    for index, crop in enumerate(crops[1:], start=1):
        if min(image.size) * (1 - 2 * crop.margin) >= max(size) and image.size != size[::-1]:
            pixels[index] = _resized_crop(image, size, crop)
    return pixels


def _resized_crop(image: Image.Image, size: tuple[int, int], crop: Crop) -> Pixels:
    height, width = size
    center = (crop.position, crop.position)
    square = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS, crop.margin, center)
    return np.asarray(square).transpose(2, 0, 1)


# The transform that undoes each orientation: EXIF 2.32, table 4.6.4 (A), tag 0x0112.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def apply_exif_orientation(image: Image.Image) -> Image.Image:
    """Return `image` rotated or flipped by its EXIF orientation; unchanged if it has no readable orientation.

    Unlike `ImageOps.exif_transpose`, this does not rewrite the other EXIF tags, which fails if one is damaged.
    """
    image.load()  # PNG may store EXIF after the pixels
    orientation = None
    # Collected photographs often have damaged metadata and intact pixels.
    with suppress(Exception):
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    method = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return image if method is None else image.transpose(method)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in mode RGB, with more than 8 bits reduced to 8 and transparency composited on white.

    White, because cut-outs, logos and drawings are made for white pages, and dark lines would vanish on black.
    Color profiles are ignored: values are taken as sRGB.

    Raises:
        ImageError: the range of the values is unknown.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_8_bits(image)
    if image.mode == "La":  # Pillow converts it to LA only
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image.convert("RGB")
    page = Image.new("RGBA", image.size, "white")
    page.alpha_composite(image.convert("RGBA"))
    return page.convert("RGB")


_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF 6.0, PhotometricInterpretation


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Return a gray image of 16-bit, 32-bit or floating-point values as 8 bits (docs/adr/0085).

    Whole numbers are shifted from the fewest bits that hold the largest of them. Floating-point values up to 1 are
    fractions of white. Pillow's own conversion would clip: everything from 255 on would be white.
    """
    values = np.asarray(image)
    if image.mode == "F":
        if not np.isfinite(values).all():
            raise ImageError("some pixel values are not finite. Save the image with 8 or 16 bits.")
        is_fraction = values.min() >= 0 and values.max() <= 1
        values = np.rint(values * 255.0) if is_fraction else np.floor(values)
    transparent = image.info.get("transparency")  # of PNG: this gray becomes white
    is_opaque = values != transparent if isinstance(transparent, int) else np.ones(values.shape, dtype=bool)
    opaque = values[is_opaque]
    low, high = (int(opaque.min()), int(opaque.max())) if opaque.size else (0, 0)
    if low < 0 or high >= 2 ** BITS[-1]:
        raise ImageError(
            f"pixel values from {low:,} to {high:,}, whose range is unknown. Save the image with 8 or 16 bits."
        )
    pixels = values.astype(np.int32) >> (bits_of(high) - 8)
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        pixels = 255 - pixels  # Pillow inverts only images of up to 8 bits
    return Image.fromarray(np.where(is_opaque, pixels, 255).astype(np.uint8))


FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "AVIF")  # and HEIF, with the extra
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 8192 * 8192  # more than phones and cameras usually produce; 256 MiB at 4 bytes a pixel

# Part of the key of cached pixels. Increase it with every change that decodes a file to different pixels.
DECODER_VERSION = 2

# A progressive JPEG visits all its pixels once per scan. Real files have about ten scans. A scan of 100 bytes
# can take a tenth of a second, so without a limit a small file could take hours.
_MAX_SCANS = 100

# JPEG draft mode decodes at 1/2, 1/4 or 1/8 scale as long as the result is this many times the wanted size.
# This is 4 to 10 times faster on photographs, and differs by about one level of 255 on average.
DRAFT_MARGIN = 3


def read_image(source: Path | bytes, size: tuple[int, int]) -> Pixels:
    """Decode the center crop of one image, (3, height, width): `read_crops` with a single crop."""
    pixels: Pixels = read_crops(source, size)[0]
    return pixels


def read_crops(source: Path | bytes, size: tuple[int, int], crops: Crops = CENTER_CROP) -> Pixels:
    """Decode crops of one image, uint8, (crops, 3, height, width). See `ImageFile.crops`. Raises ImageError."""
    return ImageFile(source).decode_crops(size, crops)


def read_dimensions(path: Path) -> tuple[int, int] | None:
    """Return width and height from the header of a file, before any rotation, or None if that cannot be read."""
    with suppress(Exception), ignore_pillow_warnings(), path.open("rb") as file:
        formats = _formats(file.read(HEAD_BYTES))
        with Image.open(file, formats=formats) as image:
            return image.size
    return None


def is_transparent_file(path: Path) -> bool:
    """Return whether all pixels of an image file are fully transparent. Unreadable files are not."""
    with suppress(Exception), ignore_pillow_warnings():
        content = _read_file(path)
        with Image.open(BytesIO(content), formats=_formats(content)) as image:
            if image.width * image.height <= MAX_PIXELS and image.has_transparency_data:
                return not np.asarray(image.convert("RGBA"))[..., 3].any()
    return False


class ImageFile:
    """An image whose header has been read, but whose pixels are not decoded yet.

    The format is that of the content, whatever the name of the file.

    Args:
        source: a file, or the content of one.

    Attributes:
        num_pixels: number of pixels.

    Raises:
        ImageError: the file is missing, unreadable, empty, too large, damaged, or not an image.
    """

    def __init__(self, source: Path | bytes) -> None:
        self._name = "Image" if isinstance(source, bytes) else str(source)
        content = source if isinstance(source, bytes) else _read_file(source)
        if not content:
            raise ImageError(f"{self._name}: empty file. Get a new copy or remove it.")
        if len(content) > MAX_BYTES:
            raise ImageError(f"{self._name}: larger than {MAX_BYTES >> 20} MiB. Save a smaller copy.")
        self._content = content
        with self._image_errors():
            self._image = self._open()
            self.num_pixels = self._image.width * self._image.height
            if self.num_pixels > MAX_PIXELS:
                raise Image.DecompressionBombError
            if self._image.format in ("JPEG", "MPO") and content.count(b"\xff\xda") > _MAX_SCANS:
                raise ValueError("too many scans")

    def decode_crops(self, size: tuple[int, int], crops: Crops = CENTER_CROP) -> Pixels:
        """Decode the image once and return its crops, resized to `size`.

        Only the first frame or page is used. EXIF orientation is applied, transparency is composited on white, and all
        other metadata is dropped. The image is resized until its shorter side fits and then cropped, so the aspect
        ratio is kept but the ends of long images are lost. The filter is Lanczos with antialiasing, which keeps
        small images sharp and also enlarges well. An image that already has the right size is not resampled.

        Args:
            size: height and width of the result, in pixels.
            crops: the crops to take.

        Returns:
            uint8, (crops, 3, height, width), RGB, 0..255.

        Raises:
            ImageError: the image is damaged or truncated.
        """
        with self._image_errors():
            enough = DRAFT_MARGIN * max(size)
            self._image.draft(None, (enough, enough))
            image: Image.Image = self._image
            if is_deep(image):
                image.load()
                image = with_real_range(image, self._open)
            return extract_crops(image, size, crops)

    def _open(self) -> Image.Image:
        return Image.open(BytesIO(self._content), formats=_formats(self._content))

    @contextmanager
    def _image_errors(self) -> Iterator[None]:
        """Translate Pillow's exceptions to ImageError."""
        try:
            with ignore_pillow_warnings():
                yield
        except ImageError as error:
            raise ImageError(f"{self._name}: {error}") from error
        except (Image.DecompressionBombError, MemoryError) as error:
            limit = f"{MAX_PIXELS / 1e6:.0f} million"
            raise ImageError(f"{self._name}: too many pixels (limit: {limit}). Save a smaller copy.") from error
        except UnidentifiedImageError as error:
            raise ImageError(
                f"{self._name}: not a JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF image, or damaged header. "
                "Convert or remove it."
            ) from error
        except Exception as error:
            # Pillow does not document what its decoders raise. Fuzzing found OSError, SyntaxError and ValueError.
            raise ImageError(f"{self._name}: damaged or truncated image. Get a new copy or remove it.") from error


def _formats(content: bytes) -> tuple[str, ...]:
    """Return the formats to try. Raises ImageError for HEIF if its decoder is not installed."""
    if image_format(content[:HEAD_BYTES]) != "HEIF":
        return FORMATS
    if not READS_HEIF:
        raise ImageError(f"a HEIC image. {HEIF_HINT}")
    _register_heif()
    return ("HEIF",)


@cache
def _register_heif() -> None:
    import pi_heif

    pi_heif.register_heif_opener()


def _read_file(path: Path) -> bytes:
    try:
        # Reading a pipe or a device could block or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise ImageError(f"{path}: {kind}. Pass an image file.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise ImageError(f"{path}: a link to a missing file. Restore the file or remove the link.") from error
        raise ImageError(f"{path}: no such file. Check the path.") from error
    except PermissionError as error:
        raise ImageError(f"{path}: permission denied. Make the file readable.") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be read ({reason}). Check the path.") from error


_lock = threading.Lock()
_active_blocks = 0
_saved_filters = warnings.catch_warnings()


@contextmanager
def ignore_pillow_warnings() -> Iterator[None]:
    """Ignore warnings from Pillow's own modules until the block ends.

    `warnings.catch_warnings` alone is not thread-safe, because filters belong to the whole process: overlapping
    blocks could restore the wrong filters for good. So the first thread that enters saves the filters, and the
    last one that leaves restores them.
    """
    global _active_blocks, _saved_filters
    with _lock:
        if _active_blocks == 0:
            _saved_filters = warnings.catch_warnings()
            _saved_filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\b")
        _active_blocks += 1
    try:
        yield
    finally:
        with _lock:
            _active_blocks -= 1
            if _active_blocks == 0:
                _saved_filters.__exit__(None, None, None)
