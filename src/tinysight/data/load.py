"""From what `--data` says to a dataset."""

from __future__ import annotations

import os.path
from pathlib import Path

from tinysight.data.dataset import Dataset
from tinysight.errors import DataError, nearest
from tinysight.progress import SILENT, Progress

BUILT_IN = ("cifar10", "shapes")
IN_MEMORY = ":memory:"  # stands for images that Python handed over, and nobody can find again


def normalise(argument: str) -> str:
    """Return `argument` so that it means the same from any folder: the path of an own folder made absolute.

    Raises:
        DataError: it is neither a built-in dataset nor a folder.
    """
    if argument == IN_MEMORY:
        raise DataError(
            "These images were in memory, and cannot be found again; train on a folder to evaluate the run."
        )
    if argument == "cifar10" or argument.split(":")[0] == "shapes":
        return argument
    if not os.path.isdir(argument):  # unlike Path.is_dir it takes any name, however long
        raise DataError(f"There is no folder of images {argument!r}.{nearest(argument, BUILT_IN)}")
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
        image_size: to which the images of a folder are resized, and in which shapes are drawn.
        data_dir: where CIFAR-10 lies, if that is to be said.
        skip_bad: go on without the pictures of a folder that cannot be read.
        progress: told about downloads and decoding.

    Raises:
        DataError: the images are not what they should be.
        DownloadError: CIFAR-10 is not here and cannot be fetched.
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
        raise DataError(f"CIFAR-10 is made of 32x32 images, not {image_size}x{image_size}; set data.image_size=32.")
    from tinysight.data import cifar10

    return cifar10.checked(cifar10.load(data_dir, progress))
