"""Bulk prediction with one and two Ray workers and with local processes; recovery from failures.

    python benchmarks/bulk.py RUN [--images 1000000] [--tries 10]

The images are CIFAR-10's test images with different noise each, as PNG in Parquet files. Needs TINYSIGHT_DATA_DIR, or
CIFAR-10 in one of the usual locations.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
from common import append, stamp
from PIL import Image
from ray.cluster_utils import Cluster

from tinysight.bulk.batch_predict import batch_predict
from tinysight.bulk.executors import BatchEngine
from tinysight.data.sources import cifar10
from tinysight.runs.run import Run

A_FILE, A_GROUP = 20_000, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="keep the images in this folder for later runs")
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as scratch:
        images = options.folder or Path(scratch, "images")
        make_images(images, options.images)
        speeds(Run.open(options.run.resolve()), images, options.images, Path(scratch))
        failures(Run.open(options.run.resolve()), images, options.tries, Path(scratch))


def make_images(folder: Path, count: int) -> None:
    """Write the files of images that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(_make_file, [folder] * count, range(0, count, A_FILE), [count] * count))


def _make_file(folder: Path, first: int, count: int) -> None:
    path = folder / f"{first:09}.parquet"
    if path.exists():
        return
    test, random = cifar10.load().test.pixels, np.random.default_rng(first)
    contents = []
    for number in range(first, min(first + A_FILE, count)):
        noise = random.integers(-8, 9, test.shape[1:], dtype=np.int16)
        pixels = (test[number % len(test)] + noise).clip(0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels.transpose(1, 2, 0)).save(buffer, "PNG", compress_level=1)
        contents.append(buffer.getvalue())
    pq.write_table(pa.table({"image": contents}), path, row_group_size=A_GROUP, compression="none")


class MemoryMonitor:
    """Progress that records the memory of all processes after each quarter of the work."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []
        self.done = self.total = 0

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Start the clock."""
        self.total, self.began = total, time.perf_counter()

    def advance(self, amount: int, **figures: float) -> None:
        """Record the memory after each quarter."""
        self.done += amount
        if self.done >= self.total * (len(self.megabytes) + 1) // 4 - 2**20:  # progress per file is rounded
            self.megabytes.append(memory())

    def finish(self, line: str = "") -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self.began

    def note(self, message: str) -> None:
        """Print the notice."""
        print(message, file=sys.stderr)


def memory() -> float:
    """Return the proportional set size (PSS) of all predicting processes, this one included, in MB."""
    local = [psutil.Process(), *psutil.Process().children(recursive=True)]
    on_ray = [process for process in psutil.process_iter() if process.name().startswith("ray::")]
    running = [process for process in {*local, *on_ray} if process.is_running()]
    return float(sum(process.memory_full_info().pss for process in running)) / 1e6


def speeds(run: Run, images: Path, count: int, scratch: Path) -> None:
    kinds: list[tuple[str, BatchEngine, int]] = [("ray, 1", "ray", 1), ("ray, 2", "ray", 2), ("local, 2", "local", 2)]
    monitors = {}
    for name, engine, workers in kinds:
        monitors[name] = monitor = MemoryMonitor()
        total = batch_predict(run, str(images), str(scratch / name), engine, workers, progress=monitor)
        assert (total.rows, total.errors) == (count, 0)
        print(
            f"{name}: {count / monitor.seconds:,.0f} images/s, {[round(size) for size in monitor.megabytes]} MB",
            flush=True,
        )
    from_ray, from_local = rows(scratch / "ray, 2"), rows(scratch / "local, 2")
    assert len(pc.unique(from_ray["input"])) == count
    assert from_ray.equals(from_local), "the engines differ"
    recipe, one_worker, two_workers, local = (
        run.recipe().name,
        *(count / monitor.seconds for monitor in monitors.values()),
    )
    claim = f"`{recipe}` on {count:,} images with Ray: two workers compared with one, images/s (target: 1.8x)"
    note("bulk", claim, f"{two_workers:,.0f}", f"{one_worker:,.0f}", f"{two_workers / one_worker:.2f}")
    claim = f"the same with two local processes compared with two Ray workers, images/s; all {count:,} rows identical"
    note("bulk", claim, f"{local:,.0f}", f"{two_workers:,.0f}", f"{local / two_workers:.2f}")
    for name, monitor in monitors.items():
        sizes = "; ".join(f"{size:,.0f}" for size in monitor.megabytes)
        note("bulk", f"memory of all processes, MB, after each quarter of the images ({name})", sizes, "", "")


def rows(folder: Path) -> pa.Table:
    return pq.read_table(folder).sort_by("input")


def failures(run: Run, images: Path, tries: int, scratch: Path) -> None:
    """Kill a worker, then a node, halfway through the work; count the tries whose rows are complete and identical."""
    part = scratch / "part"
    part.mkdir()
    shutil.copy(min(images.iterdir()), part)
    whole = scratch / "whole"
    batch_predict(run, str(part), str(whole), "local", 2)
    for what, kill in (("a worker", kill_worker), ("a cluster node", kill_node)):
        recovered = sum(survives(run, part, scratch / f"{what} {number}", whole, kill) for number in range(tries))
        claim = f"{what} killed halfway through {rows(whole).num_rows:,} images: all rows present once and identical"
        note("bulk", claim, f"{recovered} of {tries}", "", "", n=tries)


def survives(run: Run, part: Path, out: Path, whole: Path, kill: Callable[[Cluster], None]) -> bool:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
        saboteur = Saboteur(lambda: kill(cluster))
        batch_predict(run, str(part), str(out), "ray", progress=saboteur)
        assert saboteur.done_once, "nothing was killed"
        return bool(rows(out).equals(rows(whole)))
    finally:
        ray.shutdown()
        cluster.shutdown()


class Saboteur(MemoryMonitor):
    """Progress that kills something once half of the work is done."""

    def __init__(self, kill: Callable[[], None]) -> None:
        super().__init__()
        self.kill, self.done_once = kill, False

    def advance(self, amount: int, **figures: float) -> None:
        """Kill at half of the work, once."""
        self.done += amount
        if 2 * self.done >= self.total and not self.done_once:
            self.done_once = True
            threading.Thread(target=self.kill).start()


def kill_worker(cluster: Cluster) -> None:
    while not (busy := [process for process in psutil.process_iter() if process.name() == "ray::_do"]):
        time.sleep(0.01)
    busy[0].kill()


def kill_node(cluster: Cluster) -> None:
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)


def note(name: str, claim: str, ours: str, peer: str, ratio: str, n: int = 1) -> None:
    row: dict[str, Any] = {"claim": claim, "ours": ours, "peer": peer, "ratio": ratio, "n": n, **stamp()}
    append(name, row)
    print(f"{claim}: {ours} {peer} {ratio}", flush=True)


if __name__ == "__main__":
    main()
