"""What is suspicious about a dataset: contradicting labels, black or transparent images, odd classes."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tinysight.data.dataset import Dataset, Split
from tinysight.data.image_ids import image_ids
from tinysight.data.image_io.image_file import is_transparent_file, read_dimensions
from tinysight.data.labels import describe_label
from tinysight.data.pixels import iter_chunks
from tinysight.data.source_report import MAX_NAMES, Finding, SourceReport, one_line

BLACK_MEAN, BLACK_MAX = 8, 64  # gray levels; nearly black images have a lower mean and a lower maximum
FEW_IMAGES = 5  # a class with fewer is nearly empty
FEW_FRACTION = 0.1  # and one with at most this fraction of the median class
MAX_MEASURED = 2000  # files whose headers are read for their sizes
_MAX_OPENED = 1000  # white images that are opened again to check for transparency
_PART = re.compile(r"(?:^|[\W_])(?:part|fold|batch|chunk|shard|archive)[\W_]*\d+$", re.IGNORECASE)


def inspect(dataset: Dataset) -> SourceReport:
    """Return the report of a dataset, completed by what its pixels, labels and class names show."""
    checks = (_contradictions, _dark_and_transparent, _small_classes, _missing_classes, _similar_names, _numbered_parts)
    found = [finding for check in checks for finding in check(dataset)]
    return replace(dataset.report, used=sum(map(len, dataset.splits.values()))).with_suspicious(found)


@dataclass(frozen=True)
class FileSizes:
    """Widths and heights of image files in pixels, as (minimum, median, maximum), and the number of files measured."""

    n_files: int
    width: tuple[int, float, int]
    height: tuple[int, float, int]


def file_sizes(dataset: Dataset) -> FileSizes | None:
    """Return the sizes of the dataset's files, of an even sample if there are many; None if it has no files."""
    if dataset.folder is None:
        return None
    files = [file for split in dataset.splits.values() for file in split.files]
    sample = files[:: -(-len(files) // MAX_MEASURED) or 1]
    sizes = np.array([size for file in sample if (size := read_dimensions(dataset.folder / file))])
    if not len(sizes):
        return None
    width, height = ((int(side.min()), float(np.median(side)), int(side.max())) for side in sizes.T)
    return FileSizes(len(sizes), width, height)


@dataclass(frozen=True)
class _Place:
    """Where an image of a dataset is."""

    split: str
    index: int


def _contradictions(dataset: Dataset) -> Iterator[Finding]:
    """Find images that occur with more than one label. Images of one color count only if their files are equal."""
    by_content: dict[int, list[_Place]] = defaultdict(list)
    for places in _same_hash(dataset):
        for place in places:
            pixels = dataset.splits[place.split].pixels[place.index]
            is_flat = (pixels == pixels[:, :1, :1]).all()
            content = _file_content(dataset, place) if is_flat else pixels.tobytes()
            if content:
                by_content[hash(content)].append(place)
    named = [_with_labels(dataset, places) for places in by_content.values() if len(_labels(dataset, places)) > 1]
    if named:
        yield Finding("image", "under more than one label", len(named), tuple(sorted(named)[:MAX_NAMES]))


def _same_hash(dataset: Dataset) -> Iterator[list[_Place]]:
    """Yield the places of images whose pixels have the same hash, but not all the same label."""
    places = [(name, index) for name, split in dataset.splits.items() for index in range(len(split))]
    hashes = np.array([value for split in dataset.splits.values() for value in _hashes(split)], dtype=np.int64)
    labels = np.concatenate([split.labels for split in dataset.splits.values()])
    if labels.ndim == 2:
        _, labels = np.unique(labels, axis=0, return_inverse=True)
    order = np.argsort(hashes, kind="stable")
    starts = np.flatnonzero(np.diff(hashes[order], prepend=hashes[order[:1]] - 1))
    ends = np.append(starts[1:], len(order))
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
        members = order[start:end]
        if len(set(labels[members].tolist())) > 1:
            yield [_Place(*places[member]) for member in members]


def _hashes(split: Split) -> Iterator[int]:
    for chunk in iter_chunks(split.pixels):
        yield from (hash(image.tobytes()) for image in chunk)


def _file_content(dataset: Dataset, place: _Place) -> bytes:
    files = dataset.splits[place.split].files
    if dataset.folder is None or not files:
        return b""
    try:
        return (dataset.folder / files[place.index]).read_bytes()
    except OSError:
        return b""


def _labels(dataset: Dataset, places: list[_Place]) -> set[str]:
    return {describe_label(dataset.splits[place.split].labels[place.index], dataset.class_names) for place in places}


def _with_labels(dataset: Dataset, places: list[_Place]) -> str:
    """Return the ids of some images with their labels: "cat/1.png (cat) = dog/7.png (dog)"."""
    described = []
    for place in places:
        split = dataset.splits[place.split]
        name, label = (
            image_ids(split, place.split)[place.index],
            describe_label(split.labels[place.index], dataset.class_names),
        )
        described.append(f"{one_line(name)} ({one_line(label)})")
    return " = ".join(sorted(described))


def _dark_and_transparent(dataset: Dataset) -> Iterator[Finding]:
    dark: list[str] = []
    white: list[str] = []
    for name, split in dataset.splits.items():
        ids, start = image_ids(split, name), 0
        for chunk in iter_chunks(split.pixels):
            darkest = np.flatnonzero(chunk.max((1, 2, 3)) < BLACK_MAX)  # few, so that few means are computed
            dark += [ids[start + index] for index in darkest[chunk[darkest].mean((1, 2, 3)) < BLACK_MEAN]]
            white += [ids[start + index] for index in np.flatnonzero(chunk.min((1, 2, 3)) == 255)]
            start += len(chunk)
    if dark:
        yield Finding("image", "of nearly black pixels", len(dark), _first(dark))
    if dataset.folder is not None:
        clear = [file for file in white[:_MAX_OPENED] if is_transparent_file(dataset.folder / file)]
        if clear:
            yield Finding("image", "of fully transparent pixels", len(clear), _first(clear))


def _small_classes(dataset: Dataset) -> Iterator[Finding]:
    counts = np.sum([split.class_counts(len(dataset.class_names)) for split in dataset.splits.values()], axis=0)
    few = np.flatnonzero((counts < FEW_IMAGES) | (counts <= FEW_FRACTION * np.median(counts)))
    if len(few):
        names = [f"{dataset.class_names[label]} ({counts[label]:,})" for label in few]
        yield Finding("class", "with few images", len(few), _first(names))


def _missing_classes(dataset: Dataset) -> Iterator[Finding]:
    """Find classes that a validation or test split lacks; an empty split lacks none."""
    for name, split in dataset.splits.items():
        missing = np.flatnonzero(np.equal(split.class_counts(len(dataset.class_names)), 0))
        if len(split) and len(missing):
            yield Finding(
                "class", f"without {name} images", len(missing), _first([dataset.class_names[i] for i in missing])
            )


def _similar_names(dataset: Dataset) -> Iterator[Finding]:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in dataset.class_names:
        alike[unicodedata.normalize("NFKC", name).casefold().strip()].append(name)
    groups = [" = ".join(map(one_line, names)) for names in alike.values() if len(names) > 1]
    if groups:
        reason = "of class names that differ only by case, spaces or Unicode form"
        yield Finding("group", reason, len(groups), tuple(groups[:MAX_NAMES]))


def _numbered_parts(dataset: Dataset) -> Iterator[Finding]:
    """Find classes such as images_part_1 and images_part_2, which are folders of one large dataset."""
    parts = [name for name in dataset.class_names if _PART.search(name)]
    if len(parts) > 1:
        yield Finding("class", "that may be parts of the dataset, not classes", len(parts), _first(parts))


def _first(names: list[str]) -> tuple[str, ...]:
    return tuple(map(one_line, sorted(names)[:MAX_NAMES]))
