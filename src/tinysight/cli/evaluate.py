"""`tinysight evaluate`: metrics and plots of a run or an ONNX file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysight._util.console import escape_control, progress, stdout_console
from tinysight._util.errors import InputError
from tinysight._util.formatting import percent, percent_interval
from tinysight.cli.options import ONNX_SUFFIX, DataDirOption, RunOrFileArgument

if TYPE_CHECKING:
    from tinysight.runs.records import Metrics


class SplitChoice(StrEnum):
    """Values of --split."""

    test = "test"
    validation = "validation"


def evaluate(
    run: RunOrFileArgument,
    split: Annotated[
        SplitChoice, typer.Option(help="Split to evaluate on; keep test for the final evaluation.")
    ] = SplitChoice.test,
    tta: Annotated[
        bool, typer.Option("--tta", help="Also report test-time augmentation: flipped and shifted copies, averaged.")
    ] = False,
    data: Annotated[str | None, typer.Option(metavar="cifar10|shapes|DIR", help="Dataset for an ONNX file.")] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Evaluate RUN or an ONNX file; write metrics.json and plots."""
    if run.suffix == ONNX_SUFFIX:
        if data is None or tta or split is not SplitChoice.test:
            raise InputError(f"{run}: an ONNX file needs --data, and takes neither --split nor --tta. Set --data only.")
        _print_metrics(_evaluate_onnx(run, data, data_dir))
        return
    if data is not None:
        raise InputError(f"{run}: --data is for ONNX files; a run has its own dataset. Remove --data.")

    from tinysight.evaluation.evaluate import evaluate as evaluate_run
    from tinysight.reporting.evaluation_plots import plot_evaluation
    from tinysight.runs.run import Run
    from tinysight.runs.run_dataset import open_dataset

    opened = Run.open(run)
    dataset = open_dataset(opened, data_dir=data_dir, progress=progress)
    metrics = evaluate_run(opened, dataset, split.value, tta)
    plot_evaluation(opened, dataset)
    for note in metrics.notes:
        progress.note(note)
    _print_metrics(metrics)
    stdout_console.print(f"files: {run / 'metrics.json'}, plots in {run / 'plots'}")


def _evaluate_onnx(path: Path, data: str, data_dir: Path | None) -> Metrics:
    from tinysight.data import load
    from tinysight.evaluation.evaluate import evaluate_classifier
    from tinysight.interop.onnx.runtime import OnnxFile

    classifier = OnnxFile(path).classifier()
    for note in classifier.notes:
        progress.note(note)
    dataset = load.load(load.resolve_source(data), classifier.image_size, data_dir, progress=progress)
    return evaluate_classifier(classifier, dataset)


def _print_metrics(metrics: Metrics) -> None:
    from tinysight.evaluation.metrics import classification_report

    per_class = {escape_control(name): scores for name, scores in metrics.per_class.items()}
    stdout_console.print(classification_report(metrics.model_copy(update={"per_class": per_class})))
    stdout_console.print(
        f"{metrics.split} accuracy {percent(metrics.accuracy)} (95% confidence interval "
        f"{percent_interval(metrics.accuracy_ci95)}) on {metrics.n:,} images, loss {metrics.loss:.4f}"
    )
    if metrics.accuracy_tta is not None:
        stdout_console.print(f"with test-time augmentation (TTA): {percent(metrics.accuracy_tta)}")
    selective = metrics.selective
    stdout_console.print(
        f"unsure below a probability of {percent(selective.threshold)}: coverage {percent(selective.coverage)}, "
        f"error rate {percent(selective.error)} on the covered images"
        if selective.threshold <= 1
        else "unsure of every image: no threshold reaches the target error"
    )
