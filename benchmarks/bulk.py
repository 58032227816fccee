"""Bulk prediction of many small pictures: with one worker of Ray, with two, and without Ray; then with losses.

python benchmarks/bulk.py RUN [--pictures 1000000] [--tries 10]

The pictures are CIFAR-10's test images with noise, another one for each, as PNG in Parquet files. TINYSIGHT_DATA_DIR
says where the images lie.
"""

from __future__ import annotations

import argparse
import io
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

from tinysight.bulk.predict import Engine, predict
from tinysight.data import cifar10
from tinysight.runs.run import Run

A_FILE, A_GROUP = 20_000, 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pictures", type=int, default=1_000_000)
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--folder", type=Path, help="where the pictures are kept for another time")
    options = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as scratch:
        pictures = options.folder or Path(scratch, "pictures")
        make(pictures, options.pictures)
        speeds(Run.open(options.run.resolve()), pictures, options.pictures, Path(scratch))
        losses(Run.open(options.run.resolve()), pictures, options.tries, Path(scratch))


def make(folder: Path, count: int) -> None:
    """Write the pictures, unless they are there."""
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


class Watch:
    """Notes how much memory this process and its children take, after every quarter of the work."""

    def __init__(self) -> None:
        self.at: list[float] = []
        self.done = self.total = 0

    def start(self, task: str, total: int, unit: str = "") -> None:
        """Begin to count."""
        self.total, self.began = total, time.perf_counter()

    def advance(self, amount: int, **figures: float) -> None:
        """Look at the memory after every quarter."""
        self.done += amount
        if self.done >= self.total * (len(self.at) + 1) // 4 - 2**20:  # shares of files are rounded
            self.at.append(memory())

    def finish(self, line: str = "") -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self.began

    def note(self, message: str) -> None:
        """Pass it on."""
        print(message, file=sys.stderr)


def memory() -> float:
    """Return the megabytes of all processes that predict, this one included, each with its share of what is shared."""
    mine = [psutil.Process(), *psutil.Process().children(recursive=True)]
    ours = [one for one in psutil.process_iter() if one.name().startswith("ray::")]
    return sum(one.memory_full_info().pss for one in {*mine, *ours} if one.is_running()) / 1e6


def speeds(run: Run, pictures: Path, count: int, scratch: Path) -> None:
    kinds: list[tuple[str, Engine, int]] = [("ray, 1", "ray", 1), ("ray, 2", "ray", 2), ("local, 2", "local", 2)]
    watches = {}
    for name, engine, workers in kinds:
        watches[name] = watch = Watch()
        total = predict(run, str(pictures), str(scratch / name), engine, workers, progress=watch)
        assert (total.rows, total.errors) == (count, 0)
        print(f"{name}: {count / watch.seconds:,.0f} images/s, {[round(one) for one in watch.at]} MB", flush=True)
    once, twice = rows(scratch / "ray, 2"), rows(scratch / "local, 2")
    assert len(pc.unique(once["input"])) == count
    assert once.equals(twice), "the engines differ"
    recipe, one, two, local = run.recipe().name, *(count / watch.seconds for watch in watches.values())
    claim = f"`{recipe}` on {count:,} pictures by Ray: two workers beside one, images/s (wanted: 1.8 times)"
    note("bulk", claim, f"{two:,.0f}", f"{one:,.0f}", f"{two / one:.2f}")
    claim = f"the same by two processes without Ray, beside Ray's two, images/s; all {count:,} rows the same"
    note("bulk", claim, f"{local:,.0f}", f"{two:,.0f}", f"{local / two:.2f}")
    for name, watch in watches.items():
        told = "; ".join(f"{one:,.0f}" for one in watch.at)
        note("bulk", f"memory of all processes, MB, after each quarter of the pictures ({name})", told, "", "")


def rows(folder: Path) -> pa.Table:
    return pq.read_table(folder).sort_by("input")


def losses(run: Run, pictures: Path, tries: int, scratch: Path) -> None:
    """Kill a worker and then a machine half-way, again and again, and count whose rows are all there, once."""
    few = scratch / "few"
    few.mkdir()
    shutil.copy(min(pictures.iterdir()), few)
    whole = scratch / "whole"
    predict(run, str(few), str(whole), "local", 2)
    for what, lose in (("a worker", kill_worker), ("a machine of the cluster", kill_machine)):
        good = sum(survives(run, few, scratch / f"{what} {number}", whole, lose) for number in range(tries))
        claim = f"{what} killed half-way through {rows(whole).num_rows:,} pictures: every row there once, and the same"
        note("bulk", claim, f"{good} of {tries}", "", "", n=tries)


def survives(run: Run, few: Path, out: Path, whole: Path, lose: Callable[[Cluster], None]) -> bool:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        loser = Loser(lambda: lose(cluster))
        predict(run, str(few), str(out), "ray", progress=loser)
        assert loser.lost, "nothing was lost"
        return bool(rows(out).equals(rows(whole)))
    finally:
        ray.shutdown()
        cluster.shutdown()


class Loser(Watch):
    """Has something lost when half of the pictures are done."""

    def __init__(self, lose: Callable[[], None]) -> None:
        super().__init__()
        self.lose, self.lost = lose, False

    def advance(self, amount: int, **figures: float) -> None:
        """Have it lost, once."""
        self.done += amount
        if 2 * self.done >= self.total and not self.lost:
            self.lost = True
            threading.Thread(target=self.lose).start()


def kill_worker(cluster: Cluster) -> None:
    while not (busy := [one for one in psutil.process_iter() if one.name() == "ray::_do"]):
        time.sleep(0.01)
    busy[0].kill()


def kill_machine(cluster: Cluster) -> None:
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)


def note(name: str, claim: str, ours: str, peer: str, ratio: str, n: int = 1) -> None:
    row: dict[str, Any] = {"claim": claim, "ours": ours, "peer": peer, "ratio": ratio, "n": n, **stamp()}
    append(name, row)
    print(f"{claim}: {ours} {peer} {ratio}", flush=True)


if __name__ == "__main__":
    main()
