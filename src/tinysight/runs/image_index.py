"""How a run used each image: checksums that find the images again in a dataset that grew, shrank or was reordered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysight._util.errors import RunError
from tinysight.data.dataset import Dataset, Labels, Split
from tinysight.data.image_ids import image_ids
from tinysight.data.pixels import Pixels, iter_chunks
from tinysight.data.splits import TrainSplit
from tinysight.runs import weights

Checksums = NDArray[np.int64]
Use = Literal["train", "validation", "test", "left out"]
USES: tuple[Use, ...] = ("train", "validation", "test", "left out")
_ARRAYS = {"checksums": torch.int64, "labels": torch.int32, "uses": torch.uint8}


@dataclass(frozen=True)
class ImageIndex:
    """The images of a run, in the order of its dataset: training, validation (if it has a split), and test images.

    Attributes:
        checksums: checksum of each image, int64 (n,).
        labels: label of each image, int64 (n,); or (n, classes), as in `Split`.
        uses: index into `USES` of what the run did with each image, uint8 (n,).
        sizes: number of images of each split of the dataset, by name.
        class_names: class names, in the order of the labels.
        files: file of each image, or empty if the dataset had none.
        groups: group of each image, "" in a split without groups; or empty if no split has any.
    """

    checksums: Checksums
    labels: Labels
    uses: NDArray[np.uint8]
    sizes: dict[str, int]
    class_names: tuple[str, ...]
    files: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.checksums)

    @classmethod
    def of(cls, dataset: Dataset, images: TrainSplit) -> ImageIndex:
        """Return the index of a run on `dataset`, which `split_dataset` divided into `images`."""
        sizes = {name: len(part) for name, part in dataset.splits.items()}
        uses = np.full(sum(sizes.values()), USES.index("left out"), dtype=np.uint8)
        uses[images.train_indices] = USES.index("train")
        if images.validation_indices is not None:
            start = 0 if dataset.validation is None else len(dataset.train)
            uses[start + images.validation_indices] = USES.index("validation")
        uses[len(uses) - len(dataset.test) :] = USES.index("test")
        parts = list(dataset.splits.values())
        return cls(
            image_checksums(parts),
            np.concatenate([part.labels for part in parts]),
            uses,
            sizes,
            dataset.class_names,
            tuple(file for part in parts for file in part.files),
            tuple(group for part in parts for group in part.groups or [""] * len(part))
            if any(part.groups for part in parts)
            else (),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The ID of each image, as `image_ids` returns it."""
        return self.files or tuple(f"{split}/{index}" for split, size in self.sizes.items() for index in range(size))

    def used_for(self, *uses: Use) -> NDArray[np.bool_]:
        """Return which images the run used for one of `uses`, bool (n,)."""
        return np.isin(self.uses, [USES.index(use) for use in uses])

    def write(self, path: Path) -> None:
        """Write the index to one file with a checksum."""
        arrays = {name: torch.from_numpy(getattr(self, name)).to(kind) for name, kind in _ARRAYS.items()}
        texts = {name: _to_tensor(getattr(self, name)) for name in ("files", "groups")}
        weights.write_tensors({**arrays, **texts}, {"sizes": self.sizes, "class_names": self.class_names}, path)

    @classmethod
    def read(cls, path: Path) -> ImageIndex:
        """Return the index that `write` wrote. Raises RunError if the file is missing, damaged or something else."""
        tensors, state, _ = weights.read_tensors(path)
        try:
            checksums, labels, uses = (tensors[name].numpy() for name in _ARRAYS)
            files, groups = _from_tensor(tensors["files"]), _from_tensor(tensors["groups"])
            sizes, class_names = dict(state["sizes"]), tuple(state["class_names"])
            index = cls(checksums, labels.astype(np.int64), uses, sizes, class_names, files, groups)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path}: no index of images. Restore it from a copy.") from error
        lengths = {len(checksums), len(labels), len(uses), sum(index.sizes.values())}
        if len(lengths) > 1 or any(text and len(text) != len(index) for text in (files, groups)):
            raise RunError(f"{path}: no index of images. Restore it from a copy.")
        return index


def image_checksums(parts: Sequence[Split]) -> Checksums:
    """Return a checksum of the pixels of each image, int64 (n,): the first 64 bits of its SHA-256."""
    return np.concatenate([pixel_checksums(part.pixels) for part in parts])


def pixel_checksums(pixels: Pixels) -> Checksums:
    """Return a checksum of each image, as `image_checksums` does."""
    digests = b"".join(
        hashlib.sha256(image.data).digest()[:8]
        for chunk in iter_chunks(pixels)
        for image in np.ascontiguousarray(chunk)
    )
    return np.frombuffer(digests, dtype="<i8").astype(np.int64)


def pool_ids(dataset: Dataset) -> tuple[str, ...]:
    """Return the IDs of all images of a dataset, one split after the other."""
    return tuple(name for split, part in dataset.splits.items() for name in image_ids(part, split))


def _to_tensor(texts: Sequence[str]) -> Tensor:
    """Return texts without null characters as the bytes of one tensor."""
    return torch.frombuffer(bytearray("".join(f"{text}\0" for text in texts).encode() or b"\0"), dtype=torch.uint8)


def _from_tensor(content: Tensor) -> tuple[str, ...]:
    texts = content.numpy().tobytes().decode().split("\0")
    return () if texts == ["", ""] else tuple(texts[:-1])
