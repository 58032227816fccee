"""Which files are images: by their suffix, or else by their first bytes."""

from __future__ import annotations

import os
import stat
from importlib.util import find_spec
from pathlib import Path, PurePath

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
READS_HEIF = find_spec("pi_heif") is not None
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".avif"),
    *(HEIF_SUFFIXES if READS_HEIF else ()),
)
"""Suffixes of files that are meant to be images. Files with other suffixes are recognized by their content."""

FORMAT_NAMES = f"JPEG, PNG, WebP, BMP, GIF, TIFF{', AVIF and HEIC' if READS_HEIF else ' and AVIF'}"
HEIF_HINT = "Run pip install 'tinysight[heif]' to read HEIC images, or convert them."
HEAD_BYTES = 64  # bytes that `image_format` needs

# Raw camera files begin like TIFF, but hold sensor values and a small preview.
_RAW_SUFFIXES = (".dng", ".nef", ".cr2", ".arw", ".orf", ".rw2", ".pef", ".srw", ".nrw", ".iiq", ".3fr", ".erf")
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
}
_BMP_HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)  # "BM" alone also begins words
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_SYSTEM_NAMES = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    *("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found"),
}


def image_format(head: bytes) -> str | None:
    """Return the format of an image with these first bytes, by Pillow's name, or None."""
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    if head[4:8] == b"ftyp":
        brands = {head[start : start + 4] for start in range(8, min(len(head), int.from_bytes(head[:4])), 4)}
        return "AVIF" if brands & {b"avif", b"avis"} else "HEIF" if brands & _HEIF_BRANDS else None
    return None


def is_image_name(name: str) -> bool:
    """Return whether a file of this name is meant to be an image that can be read."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def is_image_file(path: str | Path) -> bool:
    """Return whether a file is an image: by its suffix, or else by its first bytes. Such images may be damaged."""
    if is_image_name(os.fspath(path)):
        return True
    return PurePath(path).suffix.lower() not in _RAW_SUFFIXES and is_readable_format(image_format(_head(path)))


def is_readable_format(name: str | None) -> bool:
    """Return whether images of a format can be decoded here."""
    return name is not None and (name != "HEIF" or READS_HEIF)


def is_system_name(name: str) -> bool:
    """Return whether a file or folder is hidden or belongs to the operating system, such as Thumbs.db."""
    return name.startswith(".") or name.lower() in _SYSTEM_NAMES


def _head(path: str | Path) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""  # reading a pipe could block
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return b""
