"""Augmentation speed: tinysight compared with the Keras generator of the notebooks.

    python benchmarks/augmentation.py [--repeats 15]

Both draw shuffled images from the same 5,120 images of 32 x 32, alternately in one process, so that background load
affects both. Keras uses batches of 128, tinysight the block size of its training. Neither includes the scaling to
0..1. Keras has no random crop, so "flip, crop" is compared with shifts. Needs the extra `keras`, and scipy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from common import append, stamp
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from tinysight._util.allocator import tune_malloc
from tinysight.augmentation.config import Augmentation
from tinysight.augmentation.pipeline import build_augmentation
from tinysight.training.loader import BLOCK_PIXELS

IMAGES, BATCH = 5120, 128
BLOCK_SIZE = BLOCK_PIXELS // 32**2
KERAS_CALLS, OUR_CALLS = 5, 40  # about 0.1 s each

NOTEBOOK_MAP = (
    Augmentation(rotation=40, width_shift=0.2, height_shift=0.2, zoom=0.2, horizontal_flip=True),
    {
        "rotation_range": 40,
        "width_shift_range": 0.2,
        "height_shift_range": 0.2,
        "zoom_range": 0.2,
        "horizontal_flip": True,
    },
)
FLIP_AND_CROP = (
    Augmentation(horizontal_flip=True, crop_padding=4),
    {"width_shift_range": 4 / 32, "height_shift_range": 4 / 32, "horizontal_flip": True},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    tune_malloc()  # as training does
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 3, 32, 32), dtype=np.uint8)
    for case in (NOTEBOOK_MAP, FLIP_AND_CROP):
        result = compare(pixels, *case, arguments.repeats)
        print(json.dumps(append("augmentation", row(result, arguments.repeats)), ensure_ascii=False), flush=True)


def compare(pixels: np.ndarray, config: Augmentation, keras_settings: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Return images per second of both and their ratio: minimum, median and maximum over `repeats`."""
    theirs, ours = keras_batches(pixels, keras_settings), our_batches(pixels, config)
    speed(theirs, 1), speed(ours, OUR_CALLS)  # warm-up
    pairs = [(speed(theirs, KERAS_CALLS), speed(ours, OUR_CALLS)) for _ in range(repeats)]
    return {
        "augmentation": config.describe(),
        "keras_images_per_second": spread([theirs for theirs, _ in pairs]),
        "tinysight_images_per_second": spread([ours for _, ours in pairs]),
        "ratio": spread([ours / theirs for theirs, ours in pairs]),
    }


def keras_batches(pixels: np.ndarray, settings: dict[str, Any]) -> Callable[[], int]:
    images = pixels.transpose(0, 2, 3, 1).astype("float32") / 255
    flow = ImageDataGenerator(fill_mode="nearest", **settings).flow(images, np.zeros(IMAGES), BATCH, seed=0)
    return lambda: len(next(flow)[0])


def our_batches(pixels: np.ndarray, config: Augmentation) -> Callable[[], int]:
    images, augment = torch.from_numpy(pixels), build_augmentation(config)
    generator = torch.Generator().manual_seed(0)

    def shuffled() -> Iterator[torch.Tensor]:
        while True:
            yield from torch.randperm(IMAGES, generator=generator).split(BLOCK_SIZE)

    order = shuffled()
    return lambda: len(augment(images.index_select(0, next(order)), generator))


def speed(next_images: Callable[[], int], calls: int) -> float:
    """Return images per second over `calls`; each call returns its number of images."""
    start = time.perf_counter()
    images = sum(next_images() for _ in range(calls))
    return images / (time.perf_counter() - start)


def spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def row(result: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Return the row for RESULTS.md."""
    values = {key: result[key] for key in ("tinysight_images_per_second", "keras_images_per_second", "ratio")}
    ours, theirs, ratio = (f"{v['median']:,.0f} ({v['min']:,.0f} to {v['max']:,.0f})" for v in values.values())
    peer = f"Keras {keras.__version__}'s generator: {theirs}"
    claim = f"augmentation, images/s: {result['augmentation']}"
    return {"claim": claim, "ours": ours, "peer": peer, "ratio": ratio, "n": repeats, **stamp()}


if __name__ == "__main__":
    # Keras uses a name that scipy has deprecated.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module="keras")
    main()
