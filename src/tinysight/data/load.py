"""Load a dataset by name, path or content."""

from __future__ import annotations

import importlib
import os
import pkgutil
from dataclasses import replace
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import Any, cast

from tinysight._util.errors import DataError, did_you_mean
from tinysight._util.progress import SILENT, Progress
from tinysight.data import sources
from tinysight.data.dataset import Dataset
from tinysight.data.inspection import inspect
from tinysight.data.pixel_cache import PixelReader
from tinysight.data.source import ARCHIVE_SUFFIXES, DataSource, LoadOptions, is_url
from tinysight.data.source_report import SourceReport

_ARRAY_SUFFIXES = (".npz", ".npy", ".h5", ".hdf5", ".mat", ".pkl", ".pickle", ".pt")
_TABLE_SUFFIXES = (".parquet", ".arrow", ".tsv", ".txt", ".json", ".jsonl", ".xls", ".xlsx", ".ods")

DatasetSpec = str | PathLike[str] | Dataset | tuple[Any, Any] | Any
"""What `load` accepts. The last kind is a pandas DataFrame; pandas is not a dependency."""


@cache
def data_sources() -> tuple[DataSource, ...]:
    """Return one object for each module of `tinysight.data.sources`, the built-in datasets first."""
    modules = [
        importlib.import_module(f"{sources.__name__}.{module.name}")
        for module in pkgutil.iter_modules(sources.__path__)
    ]
    return tuple(sorted((cast(DataSource, module.SOURCE) for module in modules), key=lambda kind: not kind.is_builtin))


def find_source(spec: DatasetSpec) -> DataSource:
    """Return the source that provides `spec`.

    Raises:
        DataError: there is none.
    """
    if isinstance(spec, str | PathLike) and is_url(fspath(spec)):
        raise DataError(f"{fspath(spec)}: a URL. Download the images, and pass the folder or file.")
    for source in data_sources():
        if source.matches(spec):
            return source
    if not isinstance(spec, str | PathLike):
        raise DataError(
            f"dataset: cannot be a {type(spec).__name__}. Pass a name, a path, a Dataset, arrays (X, y) or a DataFrame."
        )
    if os.path.isfile(spec):
        raise DataError(f"{fspath(spec)}: not a folder, zip file or CSV file. {_other_file_hint(fspath(spec))}")
    names = [source.name for source in data_sources() if source.is_builtin]
    raise DataError(f"{fspath(spec)!r}: no such dataset or folder.{did_you_mean(fspath(spec), names)}")


def _other_file_hint(path: str) -> str:
    """Return what to do with a file of a kind that no source reads."""
    name = path.lower()
    if name.endswith(ARCHIVE_SUFFIXES):
        return "Unpack it, and pass the folder or CSV file."
    if name.endswith(_ARRAY_SUFFIXES):
        return "In Python, load the arrays and pass them as (X, y)."
    if name.endswith(_TABLE_SUFFIXES):
        return "Save the table as CSV, or pass it as a DataFrame in Python, with the columns image and label."
    return "Pass the folder that contains the class folders."


def resolve_source(spec: DatasetSpec) -> str:
    """Return text that loads the same images from any working directory: paths become absolute.

    For images in memory it is `IN_MEMORY`, which cannot be loaded.

    Raises:
        DataError: `spec` names no dataset.
    """
    return spec.argument if isinstance(spec, Dataset) else find_source(spec).argument(spec)


def load(
    spec: DatasetSpec,
    image_size: int = 32,
    data_dir: str | PathLike[str] | None = None,
    skip_unreadable: bool = False,
    progress: Progress = SILENT,
    needs_splits: bool = True,
    read_pixels: PixelReader | None = None,
) -> Dataset:
    """Return a dataset, with square images of `image_size` pixels.

    Args:
        spec: one of:

            - "cifar10", or "shapes" with options such as "shapes:train=5000,seed=3".
            - A folder of class folders, or a zip file of one.
            - A CSV file with the columns image and label, and optionally split and group.
            - A pandas DataFrame with these columns.
            - Arrays (X, y): images as `ImageClassifier.fit` takes them, and a label for each.
            - A Dataset, which is returned unchanged.
        image_size: side of the images in pixels. Image files and arrays are resized, shapes are drawn at this size.
        data_dir: the folder with CIFAR-10; by default the usual places are searched.
        skip_unreadable: skip unreadable image files instead of raising an error.
        progress: receives the progress of downloading and decoding.
        needs_splits: whether image files must suffice for training: a training split, two classes, and enough images of
            each class to draw a test split from. Else they are only evaluated or compared with those of a run.
        read_pixels: for a table, returns the pixels of files that are decoded already, instead of decoding them.

    Raises:
        DataError: the dataset does not exist or is not valid.
        DownloadError: CIFAR-10 is not on this machine and cannot be downloaded.
    """
    if isinstance(spec, Dataset):
        return spec
    source = find_source(spec)
    folder = None if data_dir is None else Path(data_dir)
    dataset = source.load(spec, LoadOptions(image_size, folder, skip_unreadable, progress, needs_splits, read_pixels))
    dataset = replace(dataset, provenance=source.provenance, argument=source.argument(spec))
    # The built-in datasets are known. A pass over all of their pixels would only take time.
    used = sum(map(len, dataset.splits.values()))
    return replace(dataset, report=SourceReport(used) if source.is_builtin else inspect(dataset))
