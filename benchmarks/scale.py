"""Throughput of each stage of bulk prediction on one core, and of the driver with many workers.

    python benchmarks/scale.py RUN...   (runs of the recipes to measure)

docs/explanation/scale.md shows the projections. More workers than cores are simulated by tasks that sleep for the
duration of a shard, which tests the driver and the throughput model. The names of the stages are keys of the results.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
from common import append, stamp
from PIL import Image

from tinysight.bulk.job import Job, NumberedShard, ShardResult
from tinysight.bulk.output import ParquetOutput
from tinysight.bulk.readers import read_images
from tinysight.bulk.shards import IMAGES_PER_SHARD, iter_shards
from tinysight.bulk.storage import RemotePath
from tinysight.data.image_io import read_crops
from tinysight.data.sources import cifar10
from tinysight.models.registry import build_network
from tinysight.runs.run import Run
from tinysight.training.forecast import probe_images_per_second

TIMES = 5
FAKE_UNIT = 0.5  # seconds
FAKE_WORKERS = (2, 4, 8, 16, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as folder:
        intake(Path(folder))
        for path in options.runs:
            run = Run.open(path.resolve())
            network(run)
            whole(run, Path(folder))
    driver()


def intake(folder: Path) -> None:
    """Measure reading and decoding of small images in each container, and of large images."""
    small = [png(pixels) for pixels in cifar10.load().test.pixels[: 5 * IMAGES_PER_SHARD]]
    (folder / "files").mkdir()
    for number, content in enumerate(small):
        (folder / "files" / f"{number:05}.png").write_bytes(content)
    (folder / "parquet").mkdir()
    pq.write_table(pa.table({"image": small}), folder / "parquet" / "all.parquet", row_group_size=IMAGES_PER_SHARD)
    (folder / "tar").mkdir()
    with tarfile.open(folder / "tar" / "all.tar", "w") as shard:
        for number, content in enumerate(small):
            member = tarfile.TarInfo(f"{number:05}.png")
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    size = statistics.mean(map(len, small))
    for kind in ("files", "parquet", "tar"):
        place = RemotePath.parse(str(folder / kind))
        note(f"reading 32x32 PNG from {kind}", len(small), partial(read, place), bytes=size)
    note("decoding 32x32 PNG", len(small), partial(decode, small), bytes=size)
    for width, height in ((500, 375), (4000, 3000)):
        large = jpeg(width, height)
        count = 200_000_000 // (width * height) // 5
        note(f"decoding {width}x{height} JPEG", count, partial(decode, [large] * count), bytes=len(large))
    (folder / "photos").mkdir()
    large = jpeg(500, 375)
    for number in range(200):
        (folder / "photos" / f"{number:05}.jpg").write_bytes(large)


def read(place: RemotePath) -> None:
    for unit in iter_shards(place):
        for _ in read_images(place, unit):
            pass


def decode(contents: list[bytes]) -> None:
    for content in contents:
        read_crops(content, (32, 32))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(width: int, height: int) -> bytes:
    """Return a JPEG file of a CIFAR-10 image, upscaled and with noise."""
    image = Image.fromarray(cifar10.load().test.pixels[0].transpose(1, 2, 0)).resize((width, height))
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    buffer = io.BytesIO()
    Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def network(run: Run) -> None:
    """Measure prediction and training of a network on one core."""
    recipe, classifier = run.recipe(), run.classifier()
    pixels = cifar10.load().test.pixels[:2000]
    note(f"predicting with {recipe.name}", len(pixels), lambda: classifier.probabilities(pixels))
    precision = run.environment().precision
    rates = [probe_images_per_second(recipe, precision) for _ in range(TIMES)]
    size = 4 * sum(weights.numel() for weights in build_network(recipe.model, 10, recipe.data.image_size).parameters())
    keep(f"training {recipe.name}", rates, gradients=size, batch=recipe.training.batch_size)


def whole(run: Run, folder: Path) -> None:
    """Measure the complete work per image, from reading to writing its row, on two shards of each kind."""
    kinds = {
        "parquet": "32x32 PNG in Parquet",
        "files": "32x32 PNG, one file per image",
        "photos": "500x375 JPEG, one file per image",
    }
    for name, kind in kinds.items():
        source, rows = RemotePath.parse(str(folder / name)), folder / f"rows of {name} by {run.path.name}"
        work = Job(run, 3, source, ParquetOutput(RemotePath.parse(str(rows))))
        work.output.create_or_resume({})
        numbered = list(enumerate(iter_shards(source)))[:2]
        done = do_all(work, numbered)
        count = sum(result.rows for result in done)
        size = sum(result.input_bytes for result in done) / count
        note(f"complete pipeline: {kind}, {run.recipe().name}", count, partial(do_all, work, numbered), bytes=size)


def do_all(work: Job, numbered: list[NumberedShard]) -> list[ShardResult]:
    return [work.run_shard(item) for item in numbered]


def driver() -> None:
    """Measure how many shards the driver distributes, with workers that only sleep, beside the model."""
    ray.init(num_cpus=max(FAKE_WORKERS), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    wait = ray.remote(num_cpus=1)(_wait)
    ray.get([wait.remote(1.0) for _ in range(max(FAKE_WORKERS))])  # starts the processes
    for workers in FAKE_WORKERS:
        rates = [shards_per_second(wait, workers, FAKE_UNIT, 12 * workers) for _ in range(3)]
        keep(f"{workers} workers that wait {FAKE_UNIT:g} s a unit", rates, law=workers / FAKE_UNIT)
    keep("driver only: shards that take no time", [shards_per_second(wait, 16, 0.0, 4000) for _ in range(TIMES)])
    ray.shutdown()


def _wait(seconds: float) -> None:
    time.sleep(seconds)


def shards_per_second(task: Any, workers: int, seconds: float, count: int) -> float:
    """Return the shards per second with `workers` tasks in flight, as in `bulk.on_ray`."""
    start, in_flight = time.perf_counter(), []
    for _ in range(count):
        in_flight.append(task.remote(seconds))
        if len(in_flight) >= workers:
            _, in_flight = ray.wait(in_flight)
    ray.get(in_flight)
    return count / (time.perf_counter() - start)


def note(part: str, count: int, work: Callable[[], Any], **facts: float) -> None:
    """Time `work` on `count` images, and append the images per second."""
    work()
    rates = []
    for _ in range(TIMES):
        start = time.perf_counter()
        work()
        rates.append(count / (time.perf_counter() - start))
    keep(part, rates, **facts)


def keep(part: str, rates: list[float], **facts: float) -> None:
    row = {"part": part, "rates": [round(rate, 2) for rate in rates], **facts, "n": len(rates), **stamp()}
    append("scale", row)
    print(f"{part}: {statistics.median(rates):,.1f} a second {facts}", flush=True)


if __name__ == "__main__":
    main()
