"""`tinysight evaluate`: how good a run is, and where it errs."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from tinysight.cli.console import output, progress, shown
from tinysight.cli.options import DataDirOption, RunArgument


class Split(StrEnum):
    """What --split takes."""

    test = "test"
    validation = "validation"


def evaluate(
    run: RunArgument,
    split: Annotated[Split, typer.Option(help="The images to evaluate on; test is for the end.")] = Split.test,
    tta: Annotated[bool, typer.Option("--tta", help="Also average over mirrored and shifted views.")] = False,
    data_dir: DataDirOption = None,
) -> None:
    """Measure RUN, fill its metrics.json and draw its plots."""
    from tinysight.evaluation.classification_report import classification_report
    from tinysight.evaluation.evaluate import evaluate as measure
    from tinysight.runs.run import Run

    opened = Run.open(run)
    metrics = measure(opened, split.value, tta, data_dir, progress)
    for remark in opened.metrics()["remarks"]:
        progress.note(remark)
    low, high = metrics["accuracy_ci95"]
    named = {shown(name): scores for name, scores in metrics["per_class"].items()}
    output.print(classification_report({**metrics, "per_class": named}))
    output.print(
        f"{split.value} accuracy {metrics['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}) "
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
    output.print(f"files: {run / 'metrics.json'} and the plots in {run / 'plots'}")
