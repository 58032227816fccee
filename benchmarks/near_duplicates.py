"""Near-duplicates in CIFAR-10, and recall and precision on injected ones.

    python benchmarks/near_duplicates.py

Injects 900 test images, shifted by a pixel, flipped, or compressed as JPEG, into all 60,000. Appends to
benchmarks/results/trust.jsonl. Needs CIFAR-10 and an idle machine.
"""

from __future__ import annotations

import io
import json
import time

import numpy as np
from common import append, stamp
from numpy.typing import NDArray
from PIL import Image

from tinysight.data.load import load
from tinysight.data.near_duplicates import find_near_duplicates

INJECTED = 300  # of each kind
QUALITY = 75  # JPEG
Pixels = NDArray[np.uint8]


def main() -> None:
    dataset = load("cifar10")
    images = np.concatenate([dataset.train.pixels, dataset.test.pixels])
    start = time.perf_counter()
    natural = find_near_duplicates(images)
    seconds = time.perf_counter() - start
    across = (natural.pairs[:, 0] < 50_000) & (natural.pairs[:, 1] >= 50_000)
    fraction = len(np.unique(natural.pairs[across, 1])) / 10_000
    result = (
        f"{len(natural):,} pairs in {seconds:.0f} s; {fraction:.2%} of the test images have a near-duplicate in train"
    )
    peer = "3.3 % found manually (Barz and Denzler 2020); target: under 120 s"
    row = {"claim": "near-duplicates in 60,000 images", "ours": result, "peer": peer, "ratio": "", "n": 1}
    print(json.dumps(append("trust", {**row, **stamp()}), ensure_ascii=False), flush=True)
    print(
        json.dumps(
            append("trust", measure_injected(images, {tuple(p) for p in natural.pairs.tolist()})), ensure_ascii=False
        )
    )


def measure_injected(images: Pixels, natural: set[tuple[int, int]]) -> dict[str, object]:
    """Return recall and precision on injected near-duplicates; natural pairs are not false positives."""
    chosen = 50_000 + np.random.default_rng(0).permutation(10_000)[: 3 * INJECTED]
    kinds = (shift, flip, compress)
    copies = [kinds[place % 3](images[index]) for place, index in enumerate(chosen)]
    detected = find_near_duplicates(np.concatenate([images, np.stack(copies)]))
    truth = {(int(index), len(images) + place) for place, index in enumerate(chosen)}
    original_of = {len(images) + place: int(index) for place, index in enumerate(chosen)}
    pairs = {tuple(pair) for pair in detected.pairs.tolist()} - natural
    # A natural near-duplicate of an image is also one of its injected copy.
    false = {pair for pair in pairs - truth if tuple(sorted(original_of.get(i, i) for i in pair)) not in natural}
    recall, precision = len(pairs & truth) / len(truth), len(pairs & truth) / len(pairs & truth | false)
    return {
        "claim": f"{len(truth)} injected near-duplicates among 60,000 images",
        "ours": f"recall {recall:.3f}, precision {precision:.3f}",
        "peer": "target: .95 and .95",
        "ratio": "",
        "n": 1,
        **stamp(),
    }


def shift(image: Pixels) -> Pixels:
    """Return the image shifted one pixel down and to the left, with repeated edges."""
    return np.pad(image, ((0, 0), (1, 0), (0, 1)), mode="edge")[:, :-1, 1:]


def flip(image: Pixels) -> Pixels:
    return image[:, :, ::-1]


def compress(image: Pixels) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).save(buffer, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(buffer)).transpose(2, 0, 1)


if __name__ == "__main__":
    main()
