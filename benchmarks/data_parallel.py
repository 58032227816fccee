"""Data-parallel training compared with one worker: losses, recovery and speed.

    python benchmarks/data_parallel.py [equality kill speed] [--data cifar10] [--tries 10]

Appends one row per claim to benchmarks/results/workers.jsonl. Needs Linux, an idle machine, and TINYSIGHT_DATA_DIR, or
CIFAR-10 in one of the usual locations (unless --data is another dataset).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import append, stamp

from tinysight.runs.run import Run

STEPS = 50
# Enough epochs that the learning rate stays above 0 for all steps; a batch of 500 in two parts.
EQUAL = {"fast-73": ["training.epochs=2"], "early-stopping": [], "early-stopping, epsilon 1": ["optimizer.epsilon=1"]}
KILLED = ["train", "fast-73", "--data", "shapes:train=2000,test=200", "--precision", "fp32", "--epochs", "20"]
BATCHES = ["--set", "training.batch_size=100", "--set", "training.ghost_batch_size=50"]
DEADLINE = 600  # seconds
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="*", default=["equality", "kill", "speed"])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--steps-of", help=argparse.SUPPRESS)  # run as one worker of a measurement
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps_of:
        write_losses(arguments.steps_of, arguments.data, arguments.to)
        return
    measures: dict[str, Callable[[str, int], None]] = {"equality": equality, "kill": kill, "speed": speed}
    for claim in arguments.claims:
        measures[claim](arguments.data, arguments.tries)


def write(claim: str, ours: str, peer: str = "", ratio: str = "", n: int = 1) -> None:
    row = {"claim": claim, "ours": ours, "peer": peer, "ratio": ratio, "n": n, **stamp()}
    print(json.dumps(append("workers", row), ensure_ascii=False), flush=True)


def equality(data: str, tries: int) -> None:
    """Compare the losses of two workers, one worker, and one worker with two threads."""
    for name in EQUAL:
        single, two, threads = (losses(name, data, *counts) for counts in ((1, 1), (2, 1), (1, 2)))
        write(
            f"{name}: maximum difference in loss between two workers and one, {STEPS} steps, float32, one thread each",
            f"{max_difference(single, two):.1e}",
            f"one worker, two threads instead of one: {max_difference(single, threads):.1e}",
        )


def max_difference(first: list[float], second: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def losses(name: str, data: str, workers: int, threads: int) -> list[float]:
    """Return the mean loss of each step."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "losses.json")
        script = [__file__, "--steps-of", name, "--data", data, "--to", str(path)]
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(workers)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run([sys.executable, *(launch if workers > 1 else []), *script], env=environment, check=True)
        measured: list[float] = json.loads(path.read_text())
        return measured


def write_losses(name: str, data: str, to: Path) -> None:
    """Train as one worker, and write the losses of its steps."""
    from tinysight.data.load import load
    from tinysight.data.splits import split_dataset
    from tinysight.recipes import loading
    from tinysight.training.distributed.process_group import SINGLE, join_group
    from tinysight.training.trainer import Trainer

    recipe = loading.load_recipe(name.split(",")[0], EQUAL[name])
    dataset = load(data, data_dir=Path(folder) if (folder := os.environ.get("TINYSIGHT_DATA_DIR")) else None)
    with join_group() if "RANK" in os.environ else contextlib.nullcontext(SINGLE) as workers:
        trainer = Trainer(recipe, dataset, split_dataset(dataset, recipe.data, 0), 0, "fp32", group=workers)
        step_losses = []
        for _ in range(STEPS):
            before = trainer.state.loss_sum
            images = trainer.step()
            step_losses.append((trainer.state.loss_sum - before) / images)
            if trainer.state.step == trainer.loader.steps_per_epoch:
                trainer.end_epoch()
        if workers.is_main:
            to.write_text(json.dumps(step_losses))


def kill(data: str, tries: int) -> None:
    """Kill a worker at a random time, and compare the run with an undisturbed one."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = Path(folder, "undisturbed")
        subprocess.run(command(undisturbed), env=ONE_THREAD, check=True, stdout=subprocess.DEVNULL)
        seconds = Run(undisturbed).summary().train_seconds
        outcomes = [one_kill(Path(folder, str(number)), undisturbed, rng, seconds) for number in range(tries)]
    same, finished = sum(outcome == "same" for outcome in outcomes), sum(outcome != "failed" for outcome in outcomes)
    write(
        "one of two workers killed at a random time: runs that recover and are bit-identical",
        f"{same} of {tries}",
        f"recovered: {finished} of {tries}",
        n=tries,
    )


def one_kill(path: Path, undisturbed: Path, rng: random.Random, seconds: float) -> str:
    """Return "same" (bit-identical), "other" or "failed"."""
    process = subprocess.Popen(command(path), env=ONE_THREAD, stdout=subprocess.DEVNULL)
    end = time.monotonic() + DEADLINE
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, 0.8) * seconds)
    children = subprocess.run(["pgrep", "-P", str(process.pid), "-f", "spawn_main"], capture_output=True, text=True)
    os.kill(int(rng.choice(children.stdout.split())), signal.SIGKILL)
    if process.wait(DEADLINE):
        return "failed"
    weights, expected = (Run(run).classifier().network.state_dict() for run in (path, undisturbed))
    return "same" if all(bool((weights[name] == expected[name]).all()) for name in weights) else "other"


def command(path: Path) -> list[str]:
    return [sys.executable, "-m", "tinysight", *KILLED, *BATCHES, "--workers", "2", "--out", str(path)]


def speed(data: str, tries: int) -> None:
    """Compare one worker with one or two threads with two workers of one thread each, alternately."""
    for recipe in ("fast-85", "deep-augmented"):
        rates: dict[tuple[int, int], list[float]] = {(1, 1): [], (1, 2): [], (2, 1): []}
        for _ in range(3):
            for (workers, threads), values in rates.items():
                values.append(images_per_second(recipe, data, workers, threads))
        one, threaded, two = (statistics.median(values) for values in rates.values())
        write(
            f"{recipe}: images/s, two workers of one thread each",
            f"{two:,.0f}",
            f"one worker, one thread: {one:,.0f}; two threads: {threaded:,.0f}",
            f"{two / one:.2f} of one thread, {two / threaded:.2f} of two",
            n=3,
        )


def images_per_second(recipe: str, data: str, workers: int, threads: int) -> float:
    """Return the images per second of one epoch, without validation."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        training = ["train", recipe, "--data", data, "--epochs", "1", "--precision", "fp32", "--out", str(path)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        launch = [sys.executable, "-m", "tinysight", *training, "--workers", str(workers)]
        subprocess.run(launch, env=environment, check=True, stdout=subprocess.DEVNULL)
        return Run(path).history()[-1].images_per_second


if __name__ == "__main__":
    main()
