"""What a picture costs in each part of the way, on one core; and how many workers one driver can keep busy.

python benchmarks/scale.py RUN...   (runs of the recipes to measure; their networks predict)

docs/scale.md says what follows from it. Workers that do not fit here are stood in for by tasks that wait as long as a
unit of work takes: what they test is the driver, and the law that goes by it.
"""

from __future__ import annotations

import argparse
import io
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

from tinysight.bulk.output import Output
from tinysight.bulk.pictures import pictures
from tinysight.bulk.places import Place
from tinysight.bulk.units import PICTURES, units
from tinysight.bulk.work import Done, Numbered, Work
from tinysight.data import cifar10
from tinysight.data.intake import read_looks
from tinysight.models.registry import build
from tinysight.runs.run import Run
from tinysight.training.planning import images_per_second

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
    """Measure reading and decoding: small pictures in each kind of container, and photographs."""
    small = [png(pixels) for pixels in cifar10.load().test.pixels[: 5 * PICTURES]]
    (folder / "files").mkdir()
    for number, content in enumerate(small):
        (folder / "files" / f"{number:05}.png").write_bytes(content)
    (folder / "parquet").mkdir()
    pq.write_table(pa.table({"image": small}), folder / "parquet" / "all.parquet", row_group_size=PICTURES)
    (folder / "tar").mkdir()
    with tarfile.open(folder / "tar" / "all.tar", "w") as shard:
        for number, content in enumerate(small):
            member = tarfile.TarInfo(f"{number:05}.png")
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))
    size = statistics.mean(map(len, small))
    for kind in ("files", "parquet", "tar"):
        place = Place.of(str(folder / kind))
        note(f"reading 32x32 PNG from {kind}", len(small), partial(read, place), bytes=size)
    note("decoding 32x32 PNG", len(small), partial(decode, small), bytes=size)
    for width, height in ((500, 375), (4000, 3000)):
        photo = jpeg(width, height)
        count = 200_000_000 // (width * height) // 5
        note(f"decoding {width}x{height} JPEG", count, partial(decode, [photo] * count), bytes=len(photo))
    (folder / "photos").mkdir()
    photo = jpeg(500, 375)
    for number in range(200):
        (folder / "photos" / f"{number:05}.jpg").write_bytes(photo)


def read(place: Place) -> None:
    for unit in units(place):
        for _ in pictures(place, unit):
            pass


def decode(contents: list[bytes]) -> None:
    for content in contents:
        read_looks(content, (32, 32))


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(width: int, height: int) -> bytes:
    """Return a photograph's worth of JPEG: a CIFAR-10 image blown up, with grain."""
    image = Image.fromarray(cifar10.load().test.pixels[0].transpose(1, 2, 0)).resize((width, height))
    grain = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    buffer = io.BytesIO()
    Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def network(run: Run) -> None:
    """Measure what a network predicts and learns on one core."""
    recipe, classifier = run.recipe(), run.classifier()
    pixels = cifar10.load().test.pixels[:2000]
    note(f"predicting with {recipe.name}", len(pixels), lambda: classifier.probabilities(pixels))
    precision = run.environment().precision
    rates = [images_per_second(recipe, precision) for _ in range(TIMES)]
    size = 4 * sum(one.numel() for one in build(recipe.model, 10, recipe.data.image_size).parameters())
    keep(f"training {recipe.name}", rates, gradients=size, batch=recipe.training.batch_size)


def whole(run: Run, folder: Path) -> None:
    """Measure all that a worker does with a picture, from reading it to writing its row: two units of each kind."""
    kinds = {
        "parquet": "32x32 PNG in Parquet",
        "files": "32x32 PNG, a file each",
        "photos": "500x375 JPEG, a file each",
    }
    for name, kind in kinds.items():
        asked, rows = Place.of(str(folder / name)), folder / f"rows of {name} by {run.path.name}"
        work = Work(run, 3, asked, Output(Place.of(str(rows))))
        work.output.begin({})
        numbered = list(enumerate(units(asked)))[:2]
        done = do_all(work, numbered)
        count = sum(one.rows for one in done)
        size = sum(one.size for one in done) / count
        note(f"all of it: {kind}, {run.recipe().name}", count, partial(do_all, work, numbered), bytes=size)


def do_all(work: Work, numbered: list[Numbered]) -> list[Done]:
    return [work.do(one) for one in numbered]


def driver() -> None:
    """Measure how many units the driver hands out, and workers that only wait, beside what the law says of them."""
    ray.init(num_cpus=max(FAKE_WORKERS), include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    wait = ray.remote(num_cpus=1)(_wait)
    ray.get([wait.remote(1.0) for _ in range(max(FAKE_WORKERS))])  # the processes are there
    for workers in FAKE_WORKERS:
        rates = [done_a_second(wait, workers, FAKE_UNIT, 12 * workers) for _ in range(3)]
        keep(f"{workers} workers that wait {FAKE_UNIT:g} s a unit", rates, law=workers / FAKE_UNIT)
    keep("the driver alone: units that take no time", [done_a_second(wait, 16, 0.0, 4000) for _ in range(TIMES)])
    ray.shutdown()


def _wait(seconds: float) -> None:
    time.sleep(seconds)


def done_a_second(task: Any, workers: int, seconds: float, count: int) -> float:
    """Return how many units a second are done when so many are kept going, as `bulk.on_ray` does it."""
    start, going = time.perf_counter(), []
    for _ in range(count):
        going.append(task.remote(seconds))
        if len(going) >= workers:
            _, going = ray.wait(going)
    ray.get(going)
    return count / (time.perf_counter() - start)


def note(part: str, count: int, work: Callable[[], Any], **facts: float) -> None:
    """Time some work on `count` pictures, and write down how many a second it did."""
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
