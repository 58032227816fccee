"""Training and prediction a second, and one picture's wait: tinysight against Keras on TensorFlow, in turn.

    python benchmarks/speed.py --run "PYTHON SCRIPT" --data DIR [NETWORK ...] [--turns 5]

PYTHON is an interpreter with tensorflow-cpu and scipy; SCRIPT measures one of the notebooks' networks with --speed and
prints one JSON line of its figures. Both work on the CIFAR-10 in DIR. Appends one line a claim to
benchmarks/results/speed.jsonl.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from common import append, stamp

from tinysight.data.dataset import Pixels
from tinysight.data.load import load
from tinysight.interop.onnx.exporting import export_onnx
from tinysight.interop.onnx.opening import OnnxClassifier, OnnxFile
from tinysight.memory import keep_freed_memory
from tinysight.models.classifier import Classifier
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe
from tinysight.runs.records import Environment, Summary
from tinysight.runs.run import Run
from tinysight.training import precision
from tinysight.training.environment import describe
from tinysight.training.images import cut
from tinysight.training.trainer import Trainer

WARM_UP, STEPS = 20, 100  # the peer trains as long: 12,800 images in batches of 128
SINGLES = 50
Figures = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["deep"])
    parser.add_argument("--run", required=True, help="interpreter and script, in one string")
    parser.add_argument("--data", required=True, help="the folder that holds cifar-10-batches-bin")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    for network in arguments.networks:
        command = [*shlex.split(arguments.run), network, "--data", arguments.data, "--speed"]
        turns = [(ours(network, Path(arguments.data)), theirs(command)) for _ in range(arguments.turns)]
        for row in rows(network, turns):
            print(json.dumps(append("speed", row), ensure_ascii=False), flush=True)


def ours(network: str, data_dir: Path) -> Figures:
    """Return what tinysight does a second, under the peer's names."""
    keep_freed_memory()
    recipe, dataset = loading.load(network), load("cifar10", data_dir=data_dir)
    numbers = precision.choose("auto", recipe)
    trainer = Trainer(recipe, dataset, cut(dataset, recipe.data, 0), 0, numbers)
    repeat(trainer.step, WARM_UP)
    training = seconds(lambda: repeat(trainer.step, STEPS))
    environment = describe(dataset, "cifar10", data_dir, 0, numbers)
    classifier = opened_again(trainer.calibrate(trainer.finish()), recipe, environment)
    test = dataset.test.pixels
    classifier.probabilities(test)
    predicting = seconds(lambda: classifier.probabilities(test))
    singles, others = one_by_one(classifier, test), one_by_one(in_onnx(classifier), test)
    return {
        "train_images_per_second": STEPS * recipe.training.batch_size / training,
        "predict_images_per_second": len(test) / predicting,
        "predict_one_seconds": singles,
        "onnx_one_seconds": others,
    }


def opened_again(classifier: Classifier, recipe: Recipe, environment: Environment) -> Classifier:
    """Return a classifier as whoever opens its run finds it."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Summary(status="finished", recipe=recipe.name, dataset="cifar10", remarks=(), parameters=0)
        run = Run.create(Path(folder, "run"), recipe, environment, summary)
        run.write_classifier(classifier)
        return run.classifier()


def one_by_one(classifier: Classifier | OnnxClassifier, test: Pixels) -> float:
    """Return the median of the seconds that one image takes."""
    taken = [seconds(lambda i=i: classifier.probabilities(test[i : i + 1])) for i in range(SINGLES + 10)]
    return statistics.median(taken[10:])


def in_onnx(classifier: Classifier) -> OnnxClassifier:
    """Return the same classifier, run by onnxruntime."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        export_onnx(classifier, path)
        return OnnxFile(path).classifier()


def theirs(command: list[str]) -> Figures:
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: Figures = json.loads(answer.stdout.splitlines()[-1])
    return figures


def repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rows(network: str, turns: list[tuple[Figures, Figures]]) -> list[dict[str, object]]:
    """Return the lines of RESULTS.md."""
    claims = {
        "train_images_per_second": (f"images a second in training, `{network}`", 1, ",.0f"),
        "predict_images_per_second": (f"images a second in prediction, `{network}`", 1, ",.0f"),
        "predict_one_seconds": (f"milliseconds for one image in process, `{network}`", 1000, ".1f"),
    }
    beside_onnx = {
        "claim": f"milliseconds for one image beside onnxruntime, `{network}`",
        "ours": spread([1000 * one["predict_one_seconds"] for one, _ in turns], ".2f"),
        "peer": f"onnxruntime: {spread([1000 * one['onnx_one_seconds'] for one, _ in turns], '.2f')}",
        "ratio": spread([one["predict_one_seconds"] / one["onnx_one_seconds"] for one, _ in turns], ".2f"),
        "n": len(turns),
        **stamp(),
    }
    return [
        beside_onnx,
        *(
            {
                "claim": claim,
                "ours": spread([scale * one[key] for one, _ in turns], form),
                "peer": f"{turns[0][1]['peer']}: {spread([scale * other[key] for _, other in turns], form)}",
                "ratio": spread([one[key] / other[key] for one, other in turns], ".2f"),
                "n": len(turns),
                **stamp(),
            }
            for key, (claim, scale, form) in claims.items()
        ),
    ]


def spread(values: list[float], form: str) -> str:
    """Return "median (minimum to maximum)"."""
    return f"{format(statistics.median(values), form)} ({format(min(values), form)} to {format(max(values), form)})"


if __name__ == "__main__":
    main()
