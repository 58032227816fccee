"""The official CIFAR-10 archive: download it, and verify images by checksum."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinysight._util.files import cache_folder, storage_errors, sync_dir
from tinysight._util.locks import file_lock
from tinysight._util.platform import replace
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Split
from tinysight.data.sources.cifar10 import binary_layout
from tinysight.data.sources.cifar10.download import Archive, fetch
from tinysight.data.sources.cifar10.layout import BATCH_IMAGES, CLASS_NAMES

ARCHIVE_NAME = "cifar-10-binary.tar.gz"
ARCHIVE = Archive(
    url=f"https://www.cs.toronto.edu/~kriz/{ARCHIVE_NAME}",
    size=170_052_171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)

# SHA-256 of data_batch_1.bin to test_batch.bin in that archive. Source: torchvision-ruby,
# lib/torchvision/datasets/cifar10.rb.
_BATCH_SHA256 = (
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
)


def is_official(dataset: Dataset) -> bool:
    """Return whether the images, their order and the labels are exactly those of the official archive.

    The images are converted to records of the binary layout, whose checksums are known, so the check works for
    every layout. It takes a few tenths of a second.
    """
    if dataset.class_names != CLASS_NAMES:
        return False
    batches = [
        Split(part.pixels[start : start + BATCH_IMAGES], part.labels[start : start + BATCH_IMAGES])
        for part in (dataset.train, dataset.test)
        for start in range(0, len(part), BATCH_IMAGES)
    ]
    with ThreadPoolExecutor(max_workers=2) as pool:
        return tuple(pool.map(_sha256, batches)) == _BATCH_SHA256


def download(progress: Progress = SILENT, archive: Archive | None = None) -> Path:
    """Download the official archive and unpack it into the cache, unless the cache is complete.

    Several processes may call this at once: one downloads, the others wait.

    Args:
        progress: receives the number of downloaded bytes.
        archive: the file to download; by default `ARCHIVE`.

    Returns:
        The folder with the six files of the binary layout.

    Raises:
        DownloadError: the download failed, or the file is not the official one.
        StorageError: the cache cannot be written.
    """
    cache = cache_folder()
    folder, part = cache / binary_layout.FOLDER, cache / f"{ARCHIVE_NAME}.part"
    with file_lock(cache / f"{ARCHIVE_NAME}.lock", progress):
        if binary_layout.find_problem(folder):
            fetch(archive or ARCHIVE, part, progress)
            _unpack(part, folder)
        with storage_errors(part):
            part.unlink(missing_ok=True)
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the verified archive to `folder` atomically. The caller holds the lock."""
    unpacked = folder.with_name(f".{folder.name}.part")
    with storage_errors(folder):
        _remove(unpacked)
        unpacked.mkdir()
        try:
            binary_layout.read_archived_files(archive, lambda name, stream: _write(unpacked / name, stream))
            sync_dir(unpacked)
            _remove(folder)
            replace(unpacked, folder)
            sync_dir(folder.parent)
        finally:
            _remove(unpacked)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _write(path: Path, stream: io.BufferedReader) -> None:
    with storage_errors(path), path.open("wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())


def _sha256(batch: Split) -> str:
    records = np.concatenate([batch.labels.astype(np.uint8)[:, None], batch.pixels.reshape(len(batch), -1)], axis=1)
    return hashlib.sha256(records.data).hexdigest()
