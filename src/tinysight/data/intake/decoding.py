"""Many images decoded at once, on all cores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tinysight.data.dataset import Pixels
from tinysight.data.intake.reading import read_looks
from tinysight.data.looks import WHOLE, Looks
from tinysight.errors import ImageError
from tinysight.machine import usable_cores
from tinysight.progress import SILENT, Progress

Failure = tuple[int, str]
"""The position of an image that could not be decoded, and the sentence that says why."""

_SAMPLE, _SMALL = 64, 10_000  # files whose sizes are looked at; bytes up to which a picture is small
_BATCH = 32  # images a thread takes at a time: few enough for a lively progress bar


def decode(
    sources: Sequence[Path | bytes], size: tuple[int, int], progress: Progress = SILENT
) -> tuple[Pixels, list[Failure]]:
    """Decode `sources` as training sees them: `decode_looks` with a single look, (n, 3, height, width)."""
    pixels, failures = decode_looks(sources, size, progress=progress)
    return pixels[:, 0], failures


def decode_looks(
    sources: Sequence[Path | bytes], size: tuple[int, int], looks: Looks = WHOLE, progress: Progress = SILENT
) -> tuple[Pixels, list[Failure]]:
    """Decode `sources` in parallel, each as `intake.read_looks` does.

    Threads, not processes: Pillow lets go of Python's lock while it decodes, and nothing is started or
    copied between processes. benchmarks/predict_files.py compares the two.

    Args:
        sources: files, or the bytes of files.
        size: height and width of the results, in pixels.
        looks: what of each is wanted.
        progress: told of every batch.

    Returns:
        Pixels, uint8, (n, looks, 3, height, width), in the order of `sources` and 0 where decoding failed;
        and the failures, in the same order.
    """
    pixels = np.zeros((len(sources), len(looks), 3, *size), dtype=np.uint8)

    def decode_batch(batch: range) -> list[Failure]:
        failures = []
        for index in batch:
            try:
                pixels[index] = read_looks(sources[index], size, looks)
            except ImageError as error:
                failures.append((index, str(error)))
        return failures

    positions = range(len(sources))
    batches = [positions[start : start + _BATCH] for start in positions[::_BATCH]]
    failures: list[Failure] = []
    pool = ThreadPoolExecutor(1 if small(sources) else usable_cores())
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


def small(sources: Sequence[Path | bytes]) -> bool:
    """Return whether these are mostly small pictures, judged by the sizes of some of the files.

    Of a small picture Python takes longer than Pillow, and two threads that keep waiting for Python's lock are
    slower than one (benchmarks/predict_files.py).
    """
    sample = sources[:: max(1, len(sources) // _SAMPLE)]
    return sum(_bytes(source) for source in sample) <= _SMALL * len(sample)


def _bytes(source: Path | bytes) -> int:
    try:
        return len(source) if isinstance(source, bytes) else source.stat().st_size
    except OSError:
        return 0  # what is wrong with it is said when it is its turn


def decode_in_chunks(
    sources: Sequence[Path | bytes], size: tuple[int, int], looks: Looks = WHOLE, chunk: int = 1024
) -> Iterator[tuple[slice, Pixels, list[Failure]]]:
    """Decode `sources` chunk by chunk, the next one in the background while the last one is worked on.

    However many there are, the pixels of no more than two chunks are held.

    Yields:
        The part of `sources` that was decoded, and what `decode_looks` returns for it: positions of failures
        count from the start of the chunk.
    """
    with ThreadPoolExecutor(1) as background:

        def begin(start: int) -> Future[tuple[Pixels, list[Failure]]]:
            return background.submit(decode_looks, sources[start : start + chunk], size, looks)

        ahead = begin(0)
        for start in range(0, len(sources), chunk):
            pixels, failures = ahead.result()
            ahead = begin(start + chunk)  # beyond the end there is nothing to decode
            yield slice(start, start + len(pixels)), pixels, failures
