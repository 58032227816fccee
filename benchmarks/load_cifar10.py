"""Time and peak memory of loading the 60,000 images of CIFAR-10.

    TINYSIGHT_DATA_DIR=DIR python benchmarks/load_cifar10.py

DIR holds both layouts, cifar-10-batches-bin and cifar-10-batches-py. The reader of the binary layout is compared with
the steps of keras.datasets.cifar10 on the Python layout: unpickle, concatenate, and transpose to contiguous
height x width x channels. The rounds alternate, each in a new process, with the files in the page cache.
"""

import os
import pickle
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import append, stamp

from tinysight.data.dataset import Dataset
from tinysight.data.sources import cifar10
from tinysight.data.sources.cifar10 import binary_layout, python_layout

ROUNDS = 9
TARGET = 0.1


def read_binary(folder: Path) -> Dataset:
    return cifar10.read(cifar10.Location("binary", folder / binary_layout.FOLDER))


def read_pickled(folder: Path) -> Dataset:
    return cifar10.read(cifar10.Location("pickled", folder / python_layout.FOLDER))


def check_published(folder: Path) -> Dataset:
    return cifar10.verify(read_binary(folder))


def keras_style(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.empty((60_000, 3, 32, 32), np.uint8)
    labels = np.empty(60_000, np.uint8)
    for number, name in enumerate(python_layout.FILES):
        with (folder / python_layout.FOLDER / name).open("rb") as file:
            batch = pickle.load(file, encoding="bytes")
        rows = slice(number * 10_000, (number + 1) * 10_000)
        pixels[rows] = batch[b"data"].reshape(-1, 3, 32, 32)
        labels[rows] = batch[b"labels"]
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), labels


CANDIDATES: dict[str, Callable[[Path], object]] = {
    function.__name__: function for function in (keras_style, read_binary, read_pickled, check_published)
}


def measure_here(name: str, folder: Path) -> None:
    """Print the seconds of one call, in a new process."""
    start = time.perf_counter()
    arrays = CANDIDATES[name](folder)
    print(time.perf_counter() - start)
    del arrays


def peak_megabytes(name: str, folder: Path) -> float:
    tracemalloc.start()
    arrays = CANDIDATES[name](folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del arrays
    return peak / 1e6


def main(folder: Path) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    for _ in range(ROUNDS):
        for name, times in seconds.items():
            command = [sys.executable, __file__, name]
            times.append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    print(f"{'':16} {'median ms':>10} {'best ms':>10} {'peak MB':>10}   n={ROUNDS}")
    for name, times in seconds.items():
        peak = peak_megabytes(name, folder)
        print(f"{name:16} {1000 * statistics.median(times):10.0f} {1000 * min(times):10.0f} {peak:10.0f}")
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratio = medians["read_binary"] / medians["keras_style"]
    print(f"binary layout / keras style: {ratio:.3f} (target: under {TARGET})")
    append(
        "loading",
        {
            "claim": f"60,000 images from the binary layout in under {TARGET} times the time to unpickle and transpose",
            "ours": f"{1000 * medians['read_binary']:.0f} ms",
            "peer": f"steps of keras.datasets: {1000 * medians['keras_style']:.0f} ms",
            "ratio": f"{ratio:.3f}",
            "n": ROUNDS,
            **stamp(),
        },
    )


if __name__ == "__main__":
    if "TINYSIGHT_DATA_DIR" not in os.environ:
        sys.exit("TINYSIGHT_DATA_DIR: not set. Set it to the folder with both layouts of CIFAR-10.")
    data_dir = Path(os.environ["TINYSIGHT_DATA_DIR"])
    if len(sys.argv) > 1:
        measure_here(sys.argv[1], data_dir)
    else:
        main(data_dir)
