"""Interface of the data sources: one class for each kind of place that images come from."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, ClassVar

from tinysight._util.errors import DataError
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Provenance
from tinysight.data.pixel_cache import PixelReader

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")


@dataclass(frozen=True)
class LoadOptions:
    """How a dataset is loaded, whatever its source. See `tinysight.data.load.load`."""

    image_size: int = 32
    data_dir: Path | None = None
    skip_unreadable: bool = False
    progress: Progress = SILENT
    needs_splits: bool = True
    read_pixels: PixelReader | None = None


def absolute_path(spec: str | PathLike[str], kind: str) -> Path:
    """Return the absolute path of a file of a kind, such as "zip". Raises DataError if `spec` cannot be a path."""
    try:
        return Path(spec).resolve()
    except ValueError as error:  # a null character
        raise DataError(f"{fspath(spec)!r}: not a path. Pass a {kind} file.") from error


def is_url(text: str) -> bool:
    """Return whether a text is a URL such as "https://example.org/1.jpg"; "C:/1.jpg" is not."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


class DataSource(ABC):
    """One kind of source. Every module of `tinysight.data.sources` defines one, as `SOURCE`.

    Attributes:
        name: the name of the kind; built-in datasets are loaded by it.
        is_builtin: whether the source provides the images itself. Then a string with its name means this source,
            even if a folder has the same name. A `Path` always means a file or folder.
        fixed_size: height and width of all images, or None if they can be loaded at any size.
        provenance: source, consent and license of the images. It belongs to the kind: a folder of the user's own
            images that is called "shapes" says nothing about consent.
    """

    name: ClassVar[str]
    is_builtin: ClassVar[bool] = False
    fixed_size: ClassVar[int | None] = None
    provenance: ClassVar[Provenance]

    @abstractmethod
    def matches(self, spec: object) -> bool:
        """Return whether `spec` names images of this source. It reads no images and never raises."""

    @abstractmethod
    def argument(self, spec: Any) -> str:
        """Return text that loads the same images from any working directory, or `IN_MEMORY`.

        Raises:
            DataError: `spec` cannot be loaded.
        """

    @abstractmethod
    def load(self, spec: Any, options: LoadOptions) -> Dataset:
        """Return the dataset, with square images of `options.image_size` pixels.

        Raises:
            DataError: the images are missing, damaged, or too few.
        """
