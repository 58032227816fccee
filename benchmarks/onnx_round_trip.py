"""Exported ONNX files compared with `predict`, on 200 images that are hard to read.

    python benchmarks/onnx_round_trip.py RUN [--data-dir DIR]

Writes synthetic images of many sizes, modes, orientations and formats, half of them scenes and half noise. The program
that `export` prints opens each of them, and the exported graph predicts, with the crops of RUN and with six crops, with
and without test-time augmentation. Then measures the size, the accuracy and the latency of RUN as floating point and as
8-bit integers, on its test images. Appends to benchmarks/results/onnx.jsonl.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from common import append, stamp
from PIL import Image

import tinysight as ts
from tinysight.data.crops import SIX_CROP
from tinysight.data.dataset import Split
from tinysight.interop.exporters import get_exporter
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import open_dataset

N_IMAGES = 200
SIZES = (
    (1, 1),
    (1, 9),
    (31, 33),
    (32, 32),
    (32, 90),
    (37, 2000),
    (2000, 37),
    (43, 43),
    (64, 48),
    (300, 200),
    (640, 480),
)
Pixels = np.ndarray


def scene(random: np.random.Generator, width: int, height: int) -> Pixels:
    """Return a smooth background with a few ellipses."""
    small = Image.fromarray(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).copy()
    y, x = np.mgrid[:height, :width] / np.array([height, width])[:, None, None]
    for _ in range(3):
        (cx, cy), (rx, ry) = random.uniform(0.2, 0.8, 2), random.uniform(0.1, 0.4, 2)
        pixels[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] = random.integers(0, 256, 3)
    return pixels


def noise(random: np.random.Generator, width: int, height: int) -> Pixels:
    return random.integers(0, 256, (height, width, 3), dtype=np.uint8)


def gray(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L"))


def oriented(orientation: int) -> Callable[[Pixels, Path], None]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return lambda pixels, path: Image.fromarray(pixels).save(path, "JPEG", exif=exif, quality=90)


def with_alpha(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    ramp = np.linspace(0, 255, image.width, dtype=np.uint8)[None].repeat(image.height, 0)
    image.putalpha(Image.fromarray(ramp))
    return image


def palette(pixels: Pixels, path: Path) -> None:
    Image.fromarray(pixels).quantize(16).save(path, "PNG", transparency=3)


def animation(pixels: Pixels, path: Path) -> None:
    frames = [Image.fromarray(np.roll(pixels, shift, 1)) for shift in (0, 3)]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:])


def deep(factor: int) -> Callable[[Pixels, Path], None]:
    return lambda pixels, path: Image.fromarray(gray(pixels).astype(np.uint16) * factor).save(path, "PNG")


KINDS: dict[str, Callable[[Pixels, Path], None]] = {
    **{f"orientation {number}": oriented(number) for number in range(1, 9)},
    "PNG": lambda pixels, path: Image.fromarray(pixels).save(path, "PNG"),
    "alpha": lambda pixels, path: with_alpha(pixels).save(path, "PNG"),
    "gray with alpha": lambda pixels, path: with_alpha(pixels).convert("LA").save(path, "PNG"),
    "WebP with alpha": lambda pixels, path: with_alpha(pixels).save(path, "WEBP", lossless=True),
    "palette with transparency": palette,
    "gray JPEG": lambda pixels, path: Image.fromarray(gray(pixels)).save(path, "JPEG"),
    "CMYK JPEG": lambda pixels, path: Image.fromarray(pixels).convert("CMYK").save(path, "JPEG"),
    "black and white": lambda pixels, path: Image.fromarray(pixels).convert("1").save(path, "PNG"),
    "animated GIF": animation,
    "16 bits": deep(257),
    "12 of 16 bits": deep(16),
    "TIFF": lambda pixels, path: Image.fromarray(pixels).save(path, "TIFF"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args()
    run = Run.open(arguments.run.resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_images(folder / "images")
        for row in chain(quantized(run, arguments.data_dir, folder), round_trips(run, files, folder)):
            print(json.dumps(append("onnx", {**row, **stamp()}), ensure_ascii=False), flush=True)


def write_images(folder: Path) -> list[Path]:
    """Write the images: every kind in turn, the sizes in turn, first scenes and then noise."""
    folder.mkdir()
    files, kinds = [], list(KINDS.items())
    for number in range(N_IMAGES):
        make = scene if number < N_IMAGES // 2 else noise
        files.append(folder / f"{number:03}")
        pixels = make(np.random.default_rng(number), *SIZES[number % len(SIZES)])
        kinds[number % len(kinds)][1](pixels, files[-1])
    return files


def round_trips(run: Run, files: list[Path], folder: Path) -> Iterator[dict[str, Any]]:
    for crops, tta in (((run.classifier().crops[0],), False), (SIX_CROP, False), (SIX_CROP, True)):
        copy = Run(Path(shutil.copytree(run.path, folder / f"run-{len(crops)}-{tta}")))
        copy.write_classifier(run.classifier().with_spec(crops=crops, bf16_margin=None))
        path = ts.export(copy, "onnx", copy.path.with_suffix(".onnx"), tta=tta)
        ours = ts.predict(copy, files, tta=tta)
        theirs = np.stack([run_program(get_exporter("onnx").usage(path, copy.classifier()), file) for file in files])
        same = (theirs.argmax(1) == ours.probabilities.argmax(1)).mean()
        difference = np.abs(theirs - ours.probabilities).max()
        yield (
            {
                "claim": f"ONNX file and printed program, {len(crops)} crop(s){', TTA' * tta}: same class; difference",
                "ours": f"{same:.1%}; {difference:.1e}",
                "peer": "target: 100.0%; 1e-3",
                "ratio": f"{difference / 1e-3:.1e}",
                "n": f"{len(files)} images",
            }
        )


def run_program(program: str, file: Path) -> np.ndarray:
    """Run the printed program on an image, and return its probabilities."""
    shutil.copy(file, file.parent.parent / "cat.jpg")
    values: dict[str, Any] = {}
    with contextlib.chdir(file.parent.parent), Path(os.devnull).open("w") as sink, contextlib.redirect_stdout(sink):
        exec(program, values)  # noqa: S102  it is the program that `export` prints
    return np.asarray(values["probabilities"])


def quantized(run: Run, data_dir: Path | None, folder: Path) -> list[dict[str, Any]]:
    """Return the size, the accuracy and the latency of RUN as 8-bit integers, compared with floating point."""
    test = open_dataset(run, data_dir=data_dir).test
    paths = [
        ts.export(run, "onnx", folder / f"int8-{int8}.onnx", int8=int8, data_dir=data_dir) for int8 in (False, True)
    ]
    sizes = [path.stat().st_size / 1000 for path in paths]
    accuracies = [accuracy(path, test) for path in paths]
    one, batch = latencies(paths, test.pixels, 1), latencies(paths, test.pixels, 256)
    recipe = run.summary().recipe
    rows = [
        ("file size, kB", sizes, ".0f"),
        ("test accuracy", accuracies, ".4f"),
        ("latency of one image, ms", one, ".2f"),
        ("latency of 256 images, ms", batch, ".1f"),
    ]
    return [
        {
            "claim": f"int8 ONNX file of `{recipe}`: {what}",
            "ours": format(values[1], form),
            "peer": f"float: {values[0]:{form}}",
            "ratio": f"{values[1] / values[0]:.3f}",
            "n": f"{len(test):,} images" if what == "test accuracy" else "1",
        }
        for what, values, form in rows
    ]


def accuracy(path: Path, test: Split) -> float:
    session, hits = open_session(path), 0
    for start in range(0, len(test), 500):
        images = test.pixels[start : start + 500].transpose(0, 2, 3, 1)
        (probabilities,) = session.run(["probabilities"], {"images": np.ascontiguousarray(images)})
        hits += int((probabilities.argmax(1) == test.labels[start : start + 500]).sum())
    return hits / len(test)


def latencies(paths: list[Path], pixels: Pixels, n: int, repeats: int = 100) -> list[float]:
    """Return the shortest time of each file for `n` prepared images, in ms, taking turns."""
    sessions = [open_session(path) for path in paths]
    times: list[list[float]] = [[] for _ in paths]
    images = np.ascontiguousarray(pixels[:n].transpose(0, 2, 3, 1))
    for _ in range(repeats):
        for session, own in zip(sessions, times, strict=True):
            start = time.perf_counter()
            session.run(None, {"images": images})
            own.append(time.perf_counter() - start)
    return [1000 * min(own) for own in times]


def open_session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


if __name__ == "__main__":
    main()
