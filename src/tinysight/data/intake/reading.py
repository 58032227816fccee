"""One image, from a file or from bytes, into an array: the only door through which pictures come in.

Whatever it is given, it returns pixels or raises an ImageError. It decodes five formats and no others,
reads a bounded number of bytes, refuses too many pixels by the header alone, and never fills in what a
truncated file lacks. After the rules in Pillow's own .github/SECURITY.md.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from tinysight.data.dataset import Pixels
from tinysight.data.intake.looking import look_at
from tinysight.data.intake.quiet import quiet_pillow
from tinysight.data.looks import WHOLE, Looks
from tinysight.errors import ImageError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP")
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 8192 * 8192  # any phone's or camera's everyday picture; at 4 bytes a pixel 256 MiB

# Raise it with every change that gives other pixels for the same file: it names the cached ones.
VERSION = 1

# A progressive JPEG goes over all its pixels once a scan. Real ones have about ten; a scan of 100 bytes is
# enough to keep a core busy for a tenth of a second, so a small file could do so for hours.
_MAX_SCANS = 100

# A JPEG may be decoded at a half, a quarter or an eighth as long as this many times the wanted size is left
# for the filter to work on: 4 to 10 times faster on photos, about one level of 255 away on average.
_DRAFT_MARGIN = 3


def read_image(source: Path | bytes, size: tuple[int, int]) -> Pixels:
    """Decode one picture as training sees it: `read_looks` with a single look, (3, height, width)."""
    pixels: Pixels = read_looks(source, size)[0]
    return pixels


def read_looks(source: Path | bytes, size: tuple[int, int], looks: Looks = WHOLE) -> Pixels:
    """Decode one picture: `Opened.looks`, uint8, (looks, 3, height, width). Raises ImageError if it is none."""
    return Opened(source).looks(size, looks)


class Opened:
    """One JPEG, PNG, WebP, BMP or GIF, of which the header has been read.

    Args:
        source: the file, or the bytes of one.

    Attributes:
        area: how many pixels it has.

    Raises:
        ImageError: the file is missing, not readable, empty, too large, damaged, or not a picture.
    """

    def __init__(self, source: Path | bytes) -> None:
        self._name = "The picture" if isinstance(source, bytes) else str(source)
        content = source if isinstance(source, bytes) else _read_file(source)
        if not content:
            raise ImageError(f"{self._name} is empty (zero bytes); get it again or leave it out.")
        if len(content) > MAX_BYTES:
            raise ImageError(f"{self._name} is larger than {MAX_BYTES >> 20} MiB; save it smaller.")
        with self._explained():
            self._image = Image.open(BytesIO(content), formats=FORMATS)
            self.area = self._image.width * self._image.height
            if self.area > MAX_PIXELS:
                raise Image.DecompressionBombError
            if self._image.format in ("JPEG", "MPO") and content.count(b"\xff\xda") > _MAX_SCANS:
                raise ValueError("too many scans")

    def looks(self, size: tuple[int, int], looks: Looks = WHOLE) -> Pixels:
        """Decode it, once, and bring what is looked at to `size`.

        The first frame counts; EXIF orientation is applied, transparency laid on white, all other metadata
        dropped. The picture is scaled until its shorter side fits and cut to the centre, so nothing is squashed
        but the ends of long pictures are lost. The filter is Lanczos, widened to cover every source pixel
        (antialiasing): it keeps small pictures sharpest and also enlarges well. A picture that already has
        the size keeps every pixel as it is.

        Args:
            size: height and width of the result, in pixels.
            looks: what of the picture is wanted.

        Returns:
            uint8, (looks, 3, height, width), RGB, 0..255.

        Raises:
            ImageError: it is damaged or cut short.
        """
        with self._explained():
            enough = _DRAFT_MARGIN * max(size)
            self._image.draft(None, (enough, enough))
            return look_at(self._image, size, looks)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in a sentence what Pillow raises."""
        try:
            with quiet_pillow():
                yield
        except (Image.DecompressionBombError, MemoryError) as error:
            limit = f"{MAX_PIXELS / 1e6:.0f} million"
            raise ImageError(f"{self._name} has too many pixels (the limit is {limit}); make it smaller.") from error
        except UnidentifiedImageError as error:
            raise ImageError(
                f"{self._name} is not a JPEG, PNG, WebP, BMP or GIF picture, or its first bytes are damaged; "
                "convert it or leave it out."
            ) from error
        except Exception as error:
            # Pillow gives no complete list of what its decoders raise; so far fuzzing has drawn OSError,
            # SyntaxError and ValueError from it.
            raise ImageError(f"{self._name} is damaged or cut short; get it again or leave it out.") from error


def _read_file(path: Path) -> bytes:
    try:
        # A pipe or a device could keep us waiting, or reading, for ever.
        if not stat.S_ISREG(path.stat().st_mode):
            what = "a folder" if path.is_dir() else "not a regular file"
            raise ImageError(f"{path} is {what}, not a picture; name an image file.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ImageError(f"{path} does not exist; check the name.") from error
    except PermissionError as error:
        raise ImageError(f"{path} may not be read; change its permissions.") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path} cannot be read ({reason}); check the path.") from error
