"""Load a dataset by name or path."""

from __future__ import annotations

import os.path
from pathlib import Path

from tinysight.data.dataset import Dataset
from tinysight.errors import DataError, nearest
from tinysight.progress import SILENT, Progress

BUILT_IN = ("cifar10", "shapes")
IN_MEMORY = ":memory:"  # the recorded source of arrays passed in Python, which cannot be loaded again


def normalise(argument: str) -> str:
    """Return `argument` in a form that does not depend on the working directory: folder paths become absolute.

    Raises:
        DataError: it is neither a built-in dataset nor a folder.
    """
    if argument == IN_MEMORY:
        raise DataError(
            "In-memory dataset: the images were not saved with the run. Train on a folder to evaluate the run later."
        )
    if argument == "cifar10" or argument.split(":")[0] == "shapes":
        return argument
    if not os.path.isdir(argument):  # unlike Path.is_dir, this does not raise on a name that is too long
        raise DataError(f"{argument!r}: no such dataset or folder.{nearest(argument, BUILT_IN)}")
    return str(Path(argument).resolve())


def load(
    argument: str,
    image_size: int = 32,
    data_dir: Path | None = None,
    skip_bad: bool = False,
    progress: Progress = SILENT,
) -> Dataset:
    """Return the dataset that `argument` names, with square images of `image_size` pixels.

    Args:
        argument: "cifar10", "shapes" (with options: "shapes:train=5000,seed=3"), or a folder of class folders.
        image_size: side of the images in pixels. Images of a folder are resized, shapes are drawn at this size.
        data_dir: the folder with CIFAR-10; by default the usual places are searched.
        skip_bad: skip unreadable images of a folder instead of raising an error.
        progress: receives the progress of downloading and decoding.

    Raises:
        DataError: the dataset does not exist or is not valid.
        DownloadError: CIFAR-10 is not on this machine and cannot be downloaded.
    """
    argument = normalise(argument)
    if argument == "cifar10":
        return _cifar10(image_size, data_dir, progress)
    if argument.split(":")[0] == "shapes":
        from tinysight.data import shapes

        return shapes.load(**shapes.parse(argument), size=image_size)
    from tinysight.data import folders

    return folders.load(Path(argument), (image_size, image_size), skip_bad, progress)


def _cifar10(image_size: int, data_dir: Path | None, progress: Progress) -> Dataset:
    if image_size != 32:
        raise DataError(f"cifar10: images are 32x32, not {image_size}x{image_size}. Set data.image_size=32.")
    from tinysight.data import cifar10

    return cifar10.checked(cifar10.load(data_dir, progress))
