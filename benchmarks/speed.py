"""Training speed, prediction speed and latency, compared with Keras on TensorFlow.

    python benchmarks/speed.py --run "PYTHON SCRIPT" --data DIR [NETWORK ...] [--turns 5]

PYTHON is an interpreter with tensorflow-cpu and scipy. SCRIPT measures one of the notebooks' networks with --speed and
prints one JSON line. Both use the CIFAR-10 in DIR, alternately. Appends one row per claim to
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
from functools import partial
from pathlib import Path

from common import append, stamp

from tinysight._util.allocator import tune_malloc
from tinysight.data.dataset import Pixels
from tinysight.data.load import load
from tinysight.data.splits import split_dataset
from tinysight.interop.onnx.exporter import EXPORTER
from tinysight.interop.onnx.runtime import OnnxClassifier, OnnxFile
from tinysight.models.classifier import Classifier
from tinysight.recipes import loading
from tinysight.recipes.schema import Recipe
from tinysight.runs.records import Environment, Summary
from tinysight.runs.run import Run
from tinysight.training import precision
from tinysight.training.environment import describe_environment
from tinysight.training.trainer import Trainer

WARM_UP, STEPS = 20, 100  # like the peer: 12,800 images in batches of 128
LATENCY_IMAGES = 50
Measurements = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=["deep"])
    parser.add_argument("--run", required=True, help="interpreter and script, in one string")
    parser.add_argument("--data", required=True, help="the parent folder of cifar-10-batches-bin")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    for network in arguments.networks:
        command = [*shlex.split(arguments.run), network, "--data", arguments.data, "--speed"]
        turns = [(ours(network, Path(arguments.data)), theirs(command)) for _ in range(arguments.turns)]
        for row in rows(network, turns):
            print(json.dumps(append("speed", row), ensure_ascii=False), flush=True)


def ours(network: str, data_dir: Path) -> Measurements:
    """Return the measurements of tinysight, under the peer's keys."""
    tune_malloc()
    recipe, dataset = loading.load_recipe(network), load("cifar10", data_dir=data_dir)
    numeric = precision.resolve_precision("auto", recipe)
    trainer = Trainer(recipe, dataset, split_dataset(dataset, recipe.data, 0), 0, numeric)
    repeat(trainer.step, WARM_UP)
    training = seconds(lambda: repeat(trainer.step, STEPS))
    environment = describe_environment(dataset, "cifar10", data_dir, 0, numeric)
    classifier = reload(trainer.calibrate(trainer.finish()), recipe, environment)
    test = dataset.test.pixels
    classifier.probabilities(test)
    predicting = seconds(lambda: classifier.probabilities(test))
    native_latency, onnx_latency = latency(classifier, test), latency(to_onnx(classifier), test)
    return {
        "train_images_per_second": STEPS * recipe.training.batch_size / training,
        "predict_images_per_second": len(test) / predicting,
        "predict_one_seconds": native_latency,
        "onnx_one_seconds": onnx_latency,
    }


def reload(classifier: Classifier, recipe: Recipe, environment: Environment) -> Classifier:
    """Return the classifier after saving it to a run and loading it."""
    with tempfile.TemporaryDirectory() as folder:
        summary = Summary(status="finished", recipe=recipe.name, dataset="cifar10", notes=(), parameters=0)
        run = Run.create(Path(folder, "run"), recipe, environment, summary)
        run.write_classifier(classifier)
        return run.classifier()


def latency(classifier: Classifier | OnnxClassifier, test: Pixels) -> float:
    """Return the median seconds of predicting one image."""
    images = [test[i : i + 1] for i in range(LATENCY_IMAGES + 10)]
    durations = [seconds(partial(classifier.probabilities, image)) for image in images]
    return statistics.median(durations[10:])


def to_onnx(classifier: Classifier) -> OnnxClassifier:
    """Return the same classifier in onnxruntime."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        EXPORTER.export(classifier, path)
        return OnnxFile(path).classifier()


def theirs(command: list[str]) -> Measurements:
    completed = subprocess.run(command, check=True, capture_output=True, text=True)
    measurements: Measurements = json.loads(completed.stdout.splitlines()[-1])
    return measurements


def repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rows(network: str, turns: list[tuple[Measurements, Measurements]]) -> list[dict[str, object]]:
    """Return the rows for RESULTS.md."""
    claims = {
        "train_images_per_second": (f"training, images/s, `{network}`", 1, ",.0f"),
        "predict_images_per_second": (f"prediction, images/s, `{network}`", 1, ",.0f"),
        "predict_one_seconds": (f"latency of one image in process, ms, `{network}`", 1000, ".1f"),
    }
    onnx_row = {
        "claim": f"latency of one image compared with onnxruntime, ms, `{network}`",
        "ours": spread([1000 * ours["predict_one_seconds"] for ours, _ in turns], ".2f"),
        "peer": f"onnxruntime: {spread([1000 * ours['onnx_one_seconds'] for ours, _ in turns], '.2f')}",
        "ratio": spread([ours["predict_one_seconds"] / ours["onnx_one_seconds"] for ours, _ in turns], ".2f"),
        "n": len(turns),
        **stamp(),
    }
    return [
        onnx_row,
        *(
            {
                "claim": claim,
                "ours": spread([scale * ours[key] for ours, _ in turns], form),
                "peer": f"{turns[0][1]['peer']}: {spread([scale * peer[key] for _, peer in turns], form)}",
                "ratio": spread([ours[key] / peer[key] for ours, peer in turns], ".2f"),
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
