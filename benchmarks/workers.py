"""Several workers against one: the same losses, the same run after a kill, and how much sooner.

    python benchmarks/workers.py [equality kill speed] [--data cifar10] [--tries 10]

Appends one line a claim to benchmarks/results/workers.jsonl. Needs Linux, a machine with nothing else to do, and
TINYSIGHT_DATA_DIR, or CIFAR-10 in one of the usual places, unless `--data` says otherwise.
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
# Epochs enough for the steps, so that no rate falls to nothing before; a batch of 500 in two portions.
EQUAL = {"fast-73": ["training.epochs=2"], "early-stopping": [], "early-stopping, epsilon 1": ["optimiser.epsilon=1"]}
KILLED = ["train", "fast-73", "--data", "shapes:train=2000,test=200", "--precision", "fp32", "--epochs", "20"]
BATCHES = ["--set", "training.batch_size=100", "--set", "training.ghost_batch_size=50"]
DEADLINE = 600  # seconds
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="*", default=["equality", "kill", "speed"])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--tries", type=int, default=10)
    parser.add_argument("--steps-of", help=argparse.SUPPRESS)  # one worker of a measurement
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
    """Compare the losses of two workers with those of one, and these with those of one that computes on two threads."""
    for name in EQUAL:
        alone, two, threads = (losses(name, data, *how) for how in ((1, 1), (2, 1), (1, 2)))
        write(
            f"{name}: largest difference of two workers' loss from one's over {STEPS} steps, float32, one thread each",
            f"{largest(alone, two):.1e}",
            f"one worker, two threads instead of one: {largest(alone, threads):.1e}",
        )


def largest(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def losses(name: str, data: str, workers: int, threads: int) -> list[float]:
    """Return the mean loss of every step."""
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder, "losses.json")
        script = [__file__, "--steps-of", name, "--data", data, "--to", str(to)]
        launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(workers)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        subprocess.run([sys.executable, *(launch if workers > 1 else []), *script], env=environment, check=True)
        return json.loads(to.read_text())


def write_losses(name: str, data: str, to: Path) -> None:
    """Be one worker."""
    from tinysight.data.load import load
    from tinysight.recipes import loading
    from tinysight.training.images import cut
    from tinysight.training.trainer import Trainer
    from tinysight.training.workers.group import ALONE, joined

    recipe = loading.load(name.split(",")[0], EQUAL[name])
    dataset = load(data, data_dir=Path(folder) if (folder := os.environ.get("TINYSIGHT_DATA_DIR")) else None)
    with joined() if "RANK" in os.environ else contextlib.nullcontext(ALONE) as workers:
        trainer = Trainer(recipe, dataset, cut(dataset, recipe.data, 0), 0, "fp32", workers=workers)
        found = []
        for _ in range(STEPS):
            before = trainer.position.loss
            images = trainer.step()
            found.append((trainer.position.loss - before) / images)
            if trainer.position.step == trainer.feed.steps:
                trainer.end_epoch()
        if workers.first:
            to.write_text(json.dumps(found))


def kill(data: str, tries: int) -> None:
    """Kill a worker at a moment that chance chooses, and hold the run against one that was left alone."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        calm = Path(folder, "calm")
        subprocess.run(command(calm), env=ONE_THREAD, check=True, stdout=subprocess.DEVNULL)
        seconds = Run(calm).summary().train_seconds
        outcomes = [one_kill(Path(folder, str(number)), calm, chance, seconds) for number in range(tries)]
    same, finished = sum(outcome == "same" for outcome in outcomes), sum(outcome != "failed" for outcome in outcomes)
    write(
        "a worker of two killed at a moment left to chance: runs that ended by themselves, bit for bit as undisturbed",
        f"{same} of {tries}",
        f"ended by themselves: {finished} of {tries}",
        n=tries,
    )


def one_kill(path: Path, calm: Path, chance: random.Random, seconds: float) -> str:
    """Return what became of it: "same", "other" or "failed"."""
    process = subprocess.Popen(command(path), env=ONE_THREAD, stdout=subprocess.DEVNULL)
    end = time.monotonic() + DEADLINE
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.8) * seconds)
    children = subprocess.run(["pgrep", "-P", str(process.pid), "-f", "spawn_main"], capture_output=True, text=True)
    os.kill(int(chance.choice(children.stdout.split())), signal.SIGKILL)
    if process.wait(DEADLINE):
        return "failed"
    one, other = (Run(run).classifier().network.state_dict() for run in (path, calm))
    return "same" if all(bool((one[name] == other[name]).all()) for name in one) else "other"


def command(path: Path) -> list[str]:
    return [sys.executable, "-m", "tinysight", *KILLED, *BATCHES, "--workers", "2", "--out", str(path)]


def speed(data: str, tries: int) -> None:
    """Compare one worker on one thread and on two with two workers on one thread each, in turn."""
    for recipe in ("fast-85", "deep-augmented"):
        found: dict[tuple[int, int], list[float]] = {(1, 1): [], (1, 2): [], (2, 1): []}
        for _ in range(3):
            for (workers, threads), paces in found.items():
                paces.append(pace(recipe, data, workers, threads))
        one, threaded, two = (statistics.median(paces) for paces in found.values())
        write(
            f"{recipe}: images a second, two workers of one thread each",
            f"{two:,.0f}",
            f"one worker, one thread: {one:,.0f}; two threads: {threaded:,.0f}",
            f"{two / one:.2f} of one thread, {two / threaded:.2f} of two",
            n=3,
        )


def pace(recipe: str, data: str, workers: int, threads: int) -> float:
    """Return how many images a second an epoch of training saw, without the looks at validation images."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        training = ["train", recipe, "--data", data, "--epochs", "1", "--precision", "fp32", "--out", str(path)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        launch = [sys.executable, "-m", "tinysight", *training, "--workers", str(workers)]
        subprocess.run(launch, env=environment, check=True, stdout=subprocess.DEVNULL)
        return Run(path).history()[-1].images_per_second


if __name__ == "__main__":
    main()
