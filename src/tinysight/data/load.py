"""Load a dataset by name or path."""

from __future__ import annotations

import os.path
from pathlib import Path

from tinysight._util.errors import DataError, did_you_mean
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset

BUILT_IN = ("cifar10", "shapes")
IN_MEMORY = ":memory:"  # the recorded source of arrays passed in Python, which cannot be loaded again


def resolve_source(source: str) -> str:
    """Return `source` in a form that does not depend on the working directory: folder paths become absolute.

    Raises:
        DataError: it is neither a built-in dataset nor a folder.
    """
    if source == IN_MEMORY:
        raise DataError(
            "In-memory dataset: the images were not saved with the run. Train on a folder to evaluate the run later."
        )
    if source == "cifar10" or source.split(":")[0] == "shapes":
        return source
    if not os.path.isdir(source):  # unlike Path.is_dir, this does not raise on a name that is too long
        raise DataError(f"{source!r}: no such dataset or folder.{did_you_mean(source, BUILT_IN)}")
    return str(Path(source).resolve())


def load(
    source: str,
    image_size: int = 32,
    data_dir: Path | None = None,
    skip_unreadable: bool = False,
    progress: Progress = SILENT,
) -> Dataset:
    """Return the dataset that `source` names, with square images of `image_size` pixels.

    Args:
        source: "cifar10", "shapes" (with options: "shapes:train=5000,seed=3"), or a folder of class folders.
        image_size: side of the images in pixels. Images of a folder are resized, shapes are drawn at this size.
        data_dir: the folder with CIFAR-10; by default the usual places are searched.
        skip_unreadable: skip unreadable images of a folder instead of raising an error.
        progress: receives the progress of downloading and decoding.

    Raises:
        DataError: the dataset does not exist or is not valid.
        DownloadError: CIFAR-10 is not on this machine and cannot be downloaded.
    """
    source = resolve_source(source)
    if source == "cifar10":
        return _cifar10(image_size, data_dir, progress)
    if source.split(":")[0] == "shapes":
        from tinysight.data.sources import shapes

        return shapes.load_shapes(**shapes.parse_options(source), size=image_size)
    from tinysight.data.sources import folder

    return folder.load_folder(Path(source), (image_size, image_size), skip_unreadable, progress)


def _cifar10(image_size: int, data_dir: Path | None, progress: Progress) -> Dataset:
    if image_size != 32:
        raise DataError(f"cifar10: images are 32x32, not {image_size}x{image_size}. Set data.image_size=32.")
    from tinysight.data.sources import cifar10

    return cifar10.verify(cifar10.load(data_dir, progress))
