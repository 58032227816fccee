"""Cache of features, by the content of each image and the network that computed them.

A dataset that grew, shrank, was reordered or got other labels needs the features of its new images only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tinysight._util.errors import RunError
from tinysight._util.files import cache_folder
from tinysight.data.dataset import Pixels
from tinysight.data.pixels import take
from tinysight.runs.image_index import Checksums, pixel_checksums
from tinysight.runs.weights import read_tensors, write_tensors

MAX_CACHED_BYTES = 2 * 2**30  # of all networks together; the least recently used files are deleted


class FeatureCache:
    """The features of images that one network computed.

    They are kept in memory, and `save` adds those that are new as one file. Files that cannot be read are skipped.
    """

    def __init__(self, key: str) -> None:
        """Open the cache of the network with this key; see `network_key`."""
        self._folder = cache_folder() / "features" / key
        self._features, self._checksums = torch.empty(0, 0), np.empty(0, np.int64)
        for path in sorted(self._folder.glob("*.safetensors")):
            with suppress(RunError, KeyError, OSError):
                tensors, _, _ = read_tensors(path)
                self._add(tensors["checksums"].numpy(), tensors["features"])
                path.touch()
        self._n_saved = len(self._checksums)

    def features(self, pixels: Pixels, compute: Callable[[Pixels], Tensor]) -> Tensor:
        """Return the features (n, d), float32, of uint8 images (n, 3, height, width).

        Args:
            pixels: the images.
            compute: computes the features of the images that the cache lacks.
        """
        checksums = pixel_checksums(pixels)
        if len(missing := np.flatnonzero(~np.isin(checksums, self._checksums))):
            self._add(checksums[missing], compute(take(pixels, missing)))
        order = np.argsort(self._checksums, kind="stable")
        rows = order[np.searchsorted(self._checksums, checksums, sorter=order)]
        return self._features[rows]

    def save(self) -> None:
        """Write the features that are in no file yet.

        Raises:
            StorageError: the cache cannot be written.
        """
        new = slice(self._n_saved, None)
        if not len(checksums := self._checksums[new]):
            return
        name = hashlib.sha256(checksums.tobytes()).hexdigest()
        tensors = {"checksums": torch.from_numpy(checksums), "features": self._features[new]}
        write_tensors(tensors, {}, self._folder / f"{name}.safetensors")
        self._n_saved = len(self._checksums)
        _delete_least_recently_used(self._folder.parent)

    def _add(self, checksums: Checksums, features: Tensor) -> None:
        self._features = torch.cat([self._features, features]) if len(self._checksums) else features
        self._checksums = np.concatenate([self._checksums, checksums])


def network_key(weights: Mapping[str, Tensor], *settings: object) -> str:
    """Return a key for the weights of a network and whatever else its features depend on, in hex."""
    digest = hashlib.sha256(repr((torch.__version__, *settings)).encode())
    for name, tensor in weights.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _delete_least_recently_used(folder: Path) -> None:
    total = 0
    with suppress(OSError):
        files = [(path.stat(), path) for path in folder.glob("*/*.safetensors")]
        for status, path in sorted(files, key=lambda file: -file[0].st_mtime):
            total += status.st_size
            if total > MAX_CACHED_BYTES:
                path.unlink(missing_ok=True)
