"""`tinysight evaluate`: metrics and plots of a run or an ONNX file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinysight import api
from tinysight._util.console import escape_control, stdout_console
from tinysight._util.errors import InputError, RunError
from tinysight._util.formatting import percent, percent_interval
from tinysight.cli.options import ONNX_SUFFIX, DataDirOption, RunOrFileArgument
from tinysight.cli.output import FEW_IMAGES, accuracy_of, baseline_of, command, print_next
from tinysight.cli.progress import progress

if TYPE_CHECKING:
    from tinysight.runs.records import AnyMetrics, Metrics, MultiLabelMetrics, OodMetrics, SelectiveMetrics, SetMetrics


def evaluate(
    run: RunOrFileArgument,
    split: Annotated[
        Literal["test", "validation", "new"],
        typer.Option(
            help="Split to evaluate on; keep test for the final evaluation. new: images added since training."
        ),
    ] = "test",
    tta: Annotated[
        bool, typer.Option("--tta", help="Also report test-time augmentation: flipped and shifted copies, averaged.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="cifar10|shapes|DIR|FILE.zip|FILE.csv",
            help="Evaluate on these images instead of those of RUN; required for an ONNX file.",
        ),
    ] = None,
    data_dir: DataDirOption = None,
) -> None:
    """Evaluate RUN or an ONNX file; write metrics.json and plots.

    Example: tinysight evaluate runs/fast-1
    """
    is_onnx = run.suffix == ONNX_SUFFIX
    if is_onnx and (data is None or tta or split != "test"):
        raise InputError(f"{run}: an ONNX file needs --data, and takes neither --split nor --tta. Set --data only.")
    metrics = api.evaluate(run, data, split=split, tta=tta, data_dir=data_dir, progress=progress)
    if is_onnx:
        _print_metrics(metrics)
        print_next(command("predict", run, "IMAGE"))
        return
    for note in metrics.notes:
        progress.note(note)
    _print_metrics(metrics)
    if not _is_written(metrics, run):
        stdout_console.print(f"files: none, since these are not exactly the images that {run} was made with")
        print_next(command("predict", run, "IMAGE"))
        return
    reason = "" if data is None else ": these are the images of the run"
    stdout_console.print(f"files: {run / 'metrics.json'} and the plots in {run / 'plots'}{reason}")
    print_next(command("audit", run, *([] if data is None else ["--data", data])))


def _is_written(metrics: AnyMetrics, run: Path) -> bool:
    """Return whether `api.evaluate` has written these metrics into the run, as it does for the run's own images."""
    with suppress(RunError):  # not evaluated before, or damaged
        return api.open_run(run).metrics() == metrics
    return False


def _print_metrics(metrics: AnyMetrics) -> None:
    from tinysight.runs.records import MultiLabelMetrics

    if isinstance(metrics, MultiLabelMetrics):
        _print_multi_label(metrics)
    else:
        _print_multi_class(metrics)


def _print_multi_label(metrics: MultiLabelMetrics) -> None:
    from tinysight.evaluation.multi_label import label_report
    from tinysight.models.scores import describe_thresholds

    per_label = {escape_control(name): scores for name, scores in metrics.per_label.items()}
    stdout_console.print(label_report(metrics.model_copy(update={"per_label": per_label})))
    if metrics.mean_average_precision is not None and metrics.mean_average_precision_ci95 is not None:
        stdout_console.print(
            f"{metrics.split} mean average precision (mAP): {accuracy_of(metrics.mean_average_precision, metrics.n)}, "
            f"95% interval {percent_interval(metrics.mean_average_precision_ci95)}"
        )
    if metrics.mean_average_precision_tta is not None:
        stdout_console.print(
            f"with test-time augmentation (TTA): {accuracy_of(metrics.mean_average_precision_tta, metrics.n)}"
        )
    stdout_console.print(
        f"F1: micro {percent(metrics.micro.f1)}; macro {percent(metrics.macro.f1)}, "
        f"95% interval {percent_interval(metrics.intervals.macro.f1)}"
    )
    stdout_console.print(
        f"all labels of an image correct: {percent(metrics.exact_match)}, 95% interval "
        f"{percent_interval(metrics.exact_match_ci95)}; Hamming accuracy {percent(metrics.hamming_accuracy)}, "
        f"loss {metrics.loss:.4f}"
    )
    if metrics.n_calibration:  # unknown for an ONNX file
        stdout_console.print(describe_thresholds(metrics.n_calibration))
    _print_unlike(metrics.unlike_training)
    if metrics.without_images:
        stdout_console.print(escape_control(metrics.without_images))


def _print_multi_class(metrics: Metrics) -> None:
    from tinysight.evaluation.metrics import classification_report

    low, high = metrics.accuracy_ci95
    majority, is_small = metrics.majority, metrics.n < FEW_IMAGES
    baseline = f"; {baseline_of(majority.name, majority.accuracy)}" if is_small else ""
    balanced = f" (always one class: {percent(majority.balanced_accuracy)})" if is_small else ""
    per_class = {escape_control(name): scores for name, scores in metrics.per_class.items()}
    stdout_console.print(classification_report(metrics.model_copy(update={"per_class": per_class})))
    stdout_console.print(
        f"{metrics.split} accuracy {accuracy_of(metrics.accuracy, metrics.n)}, "
        f"95% interval {percent_interval((low, high))}, loss {metrics.loss:.4f}{baseline}"
    )
    if metrics.accuracy_tta is not None:
        interval = metrics.intervals.accuracy_tta
        tta = accuracy_of(metrics.accuracy_tta, metrics.n)
        stdout_console.print(
            f"with test-time augmentation (TTA): {tta}"
            + (f", 95% interval {percent_interval(interval)}{baseline}" if interval and is_small else "")
        )
    stdout_console.print(
        f"balanced accuracy {percent(metrics.balanced_accuracy)}, "
        f"95% interval {percent_interval(metrics.intervals.balanced_accuracy)}{balanced}; "
        f"macro F1 {percent(metrics.macro.f1)}, 95% interval {percent_interval(metrics.intervals.macro.f1)}"
    )
    if metrics.never_predicted:
        stdout_console.print(escape_control(metrics.never_predicted))
    _print_selective(metrics.selective)
    if metrics.prediction_sets:
        _print_sets(metrics.prediction_sets)
    _print_unlike(metrics.unlike_training)


def _print_selective(selective: SelectiveMetrics) -> None:
    if selective.threshold <= 1:
        error = (
            f", error rate {percent(selective.error)} (95% interval {percent_interval(selective.error_ci95)}) on the "
            "covered images"
        )
        stdout_console.print(
            f"unsure below a probability of {percent(selective.threshold)}: coverage {percent(selective.coverage)} "
            f"(95% interval {percent_interval(selective.coverage_ci95)}){error if selective.coverage else ''}"
        )
    if selective.target_error is not None and selective.n_calibration is not None:
        from tinysight.models.selective import Promise

        stdout_console.print(Promise(selective.target_error, selective.n_calibration).describe(selective.threshold))


def _print_sets(sets: SetMetrics) -> None:
    name, lowest = min(sets.per_class.items(), key=lambda item: item[1].coverage_ci95[1])
    stdout_console.print(
        f"prediction sets: {percent(sets.coverage)} contain the true class (95% interval "
        f"{percent_interval(sets.coverage_ci95)}), with {sets.mean_size:.2f} classes on average; lowest: "
        f"{percent(lowest.coverage)} of {escape_control(name)} ({percent_interval(lowest.coverage_ci95)})"
    )
    if sets.n_calibration is not None:
        from tinysight.models.conformal import SetPromise

        stdout_console.print(SetPromise(sets.n_calibration).describe())


def _print_unlike(unlike: OodMetrics | None) -> None:
    if unlike is None:
        return
    stdout_console.print(
        f"marked as unlike the training images: {percent(unlike.share)} (95% interval "
        f"{percent_interval(unlike.share_ci95)})"
    )
    if unlike.n_calibration is not None:
        from tinysight.models.ood import describe_ood

        stdout_console.print(describe_ood(unlike.threshold, unlike.n_calibration))
