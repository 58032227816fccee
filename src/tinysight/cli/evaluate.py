"""`tinysight evaluate`: how good a run is, and where it errs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysight.cli.options import ONNX, DataDirOption, RunOrFileArgument
from tinysight.errors import InputError
from tinysight.screen.console import output, progress, shown

if TYPE_CHECKING:
    from tinysight.evaluation.metrics import Metrics


class Split(StrEnum):
    """What --split takes."""

    test = "test"
    validation = "validation"


def evaluate(
    run: RunOrFileArgument,
    split: Annotated[Split, typer.Option(help="The images to evaluate on; test is for the end.")] = Split.test,
    tta: Annotated[bool, typer.Option("--tta", help="Also average over mirrored and shifted views.")] = False,
    data: Annotated[str | None, typer.Option(metavar="cifar10|shapes|DIR", help="Images for an ONNX file.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Measure RUN, fill its metrics.json and draw its plots; or measure an ONNX file."""
    if run.suffix == ONNX:
        if data is None or tta or split is not Split.test:
            raise InputError(f"{run}: say the images by --data; their test images are used, and no TTA.")
        _tell(_of_file(run, data, data_dir))
        return
    if data is not None:
        raise InputError(f"{run} knows its images; --data is for ONNX files.")

    from tinysight.evaluation.evaluate import evaluate as measure
    from tinysight.runs.run import Run

    opened = Run.open(run)
    metrics = measure(opened, split.value, tta, data_dir, progress)
    for remark in opened.metrics()["remarks"]:
        progress.note(remark)
    _tell(metrics)
    output.print(f"files: {run / 'metrics.json'} and the plots in {run / 'plots'}")


def _of_file(path: Path, data: str, data_dir: Path | None) -> Metrics:
    from tinysight.data import load
    from tinysight.evaluation.evaluate import evaluate_classifier
    from tinysight.interop.onnx.opening import OnnxFile

    classifier = OnnxFile(path).classifier()
    for remark in classifier.remarks:
        progress.note(remark)
    dataset = load.load(load.normalise(data), classifier.image_size, data_dir, progress=progress)
    return evaluate_classifier(classifier, dataset)


def _tell(metrics: Metrics) -> None:
    from tinysight.evaluation.classification_report import classification_report

    low, high = metrics["accuracy_ci95"]
    named = {shown(name): scores for name, scores in metrics["per_class"].items()}
    output.print(classification_report({**metrics, "per_class": named}))
    output.print(
        f"{metrics['split']} accuracy {metrics['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}) "
        f"on {metrics['n']:,} images, loss {metrics['loss']:.4f}"
    )
    if metrics["accuracy_tta"] is not None:
        output.print(f"with test-time augmentation (TTA): {metrics['accuracy_tta']:.4f}")
    unsure = metrics["unsure"]
    output.print(
        f"unsure below {unsure['threshold']:.0%}: {unsure['coverage']:.1%} of the images are answered, and "
        f"{unsure['error']:.1%} of these answers are wrong"
        if unsure["threshold"] <= 1
        else "unsure of every image: no threshold leaves so few answers wrong as was wanted"
    )
