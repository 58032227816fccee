"""Decode many images in parallel threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinysight._util.errors import ImageError
from tinysight._util.hardware import usable_cores
from tinysight._util.progress import SILENT, Progress
from tinysight.data.crops import CENTER_CROP, Crops
from tinysight.data.dataset import Pixels
from tinysight.data.image_io.image_file import read_crops

DecodeFailure = tuple[int, str]
"""The position of an image that could not be decoded, and the error message."""

_SAMPLE_SIZE = 64  # files whose sizes are sampled
_SMALL_BYTES = 10_000  # mean size up to which files count as small
_BATCH = 32  # images per thread and task: few enough for frequent progress updates


def decode_images(
    sources: Sequence[Path | bytes], size: tuple[int, int], progress: Progress = SILENT
) -> tuple[Pixels, list[DecodeFailure]]:
    """Decode the center crops of `sources`, (n, 3, height, width): `decode_crops` with a single crop."""
    pixels, failures = decode_crops(sources, size, progress=progress)
    return pixels[:, 0], failures


def decode_crops(
    sources: Sequence[Path | bytes], size: tuple[int, int], crops: Crops = CENTER_CROP, progress: Progress = SILENT
) -> tuple[Pixels, list[DecodeFailure]]:
    """Decode `sources` in parallel, each as `read_crops` does.

    Threads suffice because Pillow releases Python's lock while it decodes. benchmarks/predict_files.py compares
    them with processes.

    Args:
        sources: files, or the contents of files.
        size: height and width of the results, in pixels.
        crops: the crops to take from each image.
        progress: receives the number of decoded images.

    Returns:
        Pixels, uint8, (n, crops, 3, height, width), in the order of `sources` and 0 where decoding failed;
        and the failures, in the same order.
    """
    pixels = np.zeros((len(sources), len(crops), 3, *size), dtype=np.uint8)

    def decode_batch(batch: range) -> list[DecodeFailure]:
        failures = []
        for index in batch:
            try:
                pixels[index] = read_crops(sources[index], size, crops)
            except ImageError as error:
                failures.append((index, str(error)))
        return failures

    positions = range(len(sources))
    batches = [positions[start : start + _BATCH] for start in positions[::_BATCH]]
    failures: list[DecodeFailure] = []
    pool = ThreadPoolExecutor(1 if mostly_small_files(sources) else usable_cores())
    progress.start("decoding", len(sources), "images")
    try:
        for batch, failed in zip(batches, pool.map(decode_batch, batches), strict=True):
            failures += failed
            progress.advance(len(batch))
    finally:
        # Without this, Ctrl-C would wait until every image is decoded.
        pool.shutdown(cancel_futures=True)
    progress.finish()
    return pixels, failures


def mostly_small_files(sources: Sequence[Path | bytes]) -> bool:
    """Return whether the mean size of a sample of `sources` is at most 10,000 bytes.

    A small image takes longer in Python than in Pillow. Two threads that wait for Python's lock are then slower
    than one (benchmarks/predict_files.py).
    """
    sample = sources[:: max(1, len(sources) // _SAMPLE_SIZE)]
    return sum(_bytes(source) for source in sample) <= _SMALL_BYTES * len(sample)


def _bytes(source: Path | bytes) -> int:
    try:
        return len(source) if isinstance(source, bytes) else source.stat().st_size
    except OSError:
        return 0  # decoding reports the error


def decode_in_chunks(
    sources: Sequence[Path | bytes], size: tuple[int, int], crops: Crops = CENTER_CROP, chunk_size: int = 1024
) -> Iterator[tuple[slice, Pixels, list[DecodeFailure]]]:
    """Decode `sources` in chunks, with the next chunk in the background.

    Memory holds the pixels of at most two chunks.

    Yields:
        The slice of `sources` that was decoded, and the result of `decode_crops` for it. Positions of failures
        count from the start of the chunk.
    """
    with ThreadPoolExecutor(1) as background:

        def submit(start: int) -> Future[tuple[Pixels, list[DecodeFailure]]]:
            return background.submit(decode_crops, sources[start : start + chunk_size], size, crops)

        pending = submit(0)
        for start in range(0, len(sources), chunk_size):
            pixels, failures = pending.result()
            pending = submit(start + chunk_size)  # an empty slice after the last chunk
            yield slice(start, start + len(pixels)), pixels, failures
