"""`tinysight train`: train a recipe on a dataset."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinysight import api
from tinysight._util.console import escape_control, stdout_console
from tinysight._util.errors import InputError
from tinysight._util.formatting import percent, percent_interval
from tinysight.cli.options import (
    DataDirOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    MinutesOption,
    PrecisionOption,
    RecipeArgument,
    SeedOption,
    SetOption,
    SkipUnreadableOption,
)
from tinysight.cli.output import FEW_IMAGES, accuracy_of, baseline_of, command, print_next, print_resume
from tinysight.cli.progress import progress

if TYPE_CHECKING:
    from tinysight.evaluation.cross_validation import AnyCrossValidation, CrossValidation, MultiLabelCrossValidation
    from tinysight.runs.records import Summary
    from tinysight.runs.run import Run

    _Row = tuple[str, float, tuple[float, float]]


class LoggerChoice(StrEnum):
    """Values of --log, as an enum because Typer does not support lists of Literal."""

    csv = "csv"
    tensorboard = "tensorboard"
    mlflow = "mlflow"


def train(
    recipe: RecipeArgument,
    data: DataOption = "cifar10",
    data_dir: DataDirOption = None,
    out: Annotated[Path | None, typer.Option(help="New run directory; default: runs/RECIPE-1, -2, ...")] = None,
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    minutes: MinutesOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of data-parallel processes, which split every batch.")
    ] = 1,
    launcher: Annotated[
        Literal["torchrun", "ray"] | None,
        typer.Option(help="Launcher for the workers: torchrun (default, local) or ray (cluster)."),
    ] = None,
    overrides: SetOption = [],  # noqa: B006  (typer copies it)
    group: Annotated[
        str | None,
        typer.Option(
            metavar="parent|REGEX",
            help="Keep images in one split if they share a folder (parent) or the text that REGEX matches in the path.",
        ),
    ] = None,
    dedup: Annotated[
        Literal["keep-together", "drop"] | None,
        typer.Option(
            help="Near-duplicates: keep-together keeps them in one split; drop removes them from the training images."
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=2,
            max=50,
            help="Cross-validate: train K runs, each tested on a different part of the images; they share --minutes.",
        ),
    ] = None,
    skip_unreadable: SkipUnreadableOption = False,
    log: Annotated[
        list[LoggerChoice],
        typer.Option(help="Record every epoch with this logger; repeatable."),
    ] = [],  # noqa: B006  (typer copies it)
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in --out.")] = False,
    from_run: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="RUN", help="Start from RUN's weights: for more epochs, or other images and classes."
        ),
    ] = None,
) -> None:
    """Train RECIPE and write a run directory.

    Example: tinysight train fast --data shapes --minutes 1
    """
    if resume and not out:
        raise InputError("--resume: needs the run to resume. Set --out RUN.")
    if "TORCHELASTIC_RUN_ID" in os.environ and not out:  # started by an external torchrun
        raise InputError("torchrun: its workers need a common run directory. Set --out RUN.")
    if folds is not None:
        if resume or workers > 1 or launcher or log:
            raise InputError("--folds: cannot be combined with --resume, --workers, --launcher or --log. Remove them.")
        out = out or api.next_run(f"{Path(recipe).stem}-cv")
        result = api.cross_validate(
            recipe,
            data,
            folds=folds,
            out=out,
            seed=seed,
            epochs=epochs,
            minutes=minutes,
            overrides=overrides,
            device=device,
            precision=precision,
            group=group,
            near_duplicates=dedup,
            data_dir=data_dir,
            skip_unreadable=skip_unreadable,
            progress=progress,
        )
        _print_folds(result, out)
        return
    run = api.train(
        recipe,
        data,
        out=out,
        seed=seed,
        epochs=epochs,
        minutes=minutes,
        overrides=overrides,
        device=device,
        precision=precision,
        workers=workers,
        launcher=launcher,
        resume=resume,
        from_run=from_run,
        group=group,
        near_duplicates=dedup,
        data_dir=data_dir,
        skip_unreadable=skip_unreadable,
        loggers=[choice.value for choice in log],
        progress=progress,
    )
    if int(os.environ.get("RANK", "0")) > 0:  # only the first worker of an external torchrun reports
        return
    _print_summary(run)
    if run.summary().status == "interrupted":
        print_resume(*([] if out else ["--out", str(run.path)]), *([] if resume else ["--resume"]))
        raise typer.Exit(1)
    print_next(command("evaluate", run.path))


def _print_folds(result: AnyCrossValidation, out: Path) -> None:
    from tinysight.evaluation.cross_validation import MultiLabelCrossValidation

    rows = _label_rows(result) if isinstance(result, MultiLabelCrossValidation) else _class_rows(result)
    for name, value, interval in rows:
        stdout_console.print(f"{name}: {percent(value)} (95% interval {percent_interval(interval)}, n = {result.n:,})")
    if not isinstance(result, MultiLabelCrossValidation) and result.n < FEW_IMAGES:
        baseline = baseline_of(result.majority.name, result.majority.accuracy)
        stdout_console.print(f"{baseline} (balanced {percent(result.majority.balanced_accuracy)})")
    stdout_console.print(result.method)
    stdout_console.print(f"folds: {out}")


def _class_rows(result: CrossValidation) -> tuple[_Row, ...]:
    """Print the accuracy of each fold, and return the pooled metrics."""
    for fold in result.folds:
        stdout_console.print(f"{fold.run}: accuracy {accuracy_of(fold.accuracy, fold.n)}")
    return (
        ("accuracy", result.accuracy, result.accuracy_ci95),
        ("balanced accuracy", result.balanced_accuracy, result.balanced_accuracy_ci95),
    )


def _label_rows(result: MultiLabelCrossValidation) -> tuple[_Row, ...]:
    """Print the mean average precision of each fold, and return the pooled metrics."""
    for fold in result.folds:
        precision = fold.mean_average_precision
        score = f"no labels (n = {fold.n:,})" if precision is None else accuracy_of(precision, fold.n)
        stdout_console.print(f"{fold.run}: mean average precision {score}")
    return (
        ("mean average precision", result.mean_average_precision, result.mean_average_precision_ci95),
        ("macro F1", result.macro_f1, result.macro_f1_ci95),
        ("all labels of an image correct", result.exact_match, result.exact_match_ci95),
    )


def _score(score: float, summary: Summary) -> str:
    """Return the validation score; an accuracy on few images comes with its interval and the baseline."""
    n, majority = summary.val_images, summary.val_majority
    if n >= FEW_IMAGES or majority is None:
        return accuracy_of(score, n)
    from tinysight.evaluation.confidence_intervals import wilson_interval

    interval = percent_interval(wilson_interval(round(score * n), n))
    return accuracy_of(score, n, interval, baseline_of(majority.name, majority.accuracy))


def _print_summary(run: Run) -> None:
    summary = run.summary()
    score = "not measured" if summary.val_score is None else _score(summary.val_score, summary)
    balanced = ""
    if summary.val_balanced_accuracy is not None:
        balanced = f", balanced {percent(summary.val_balanced_accuracy)}"
        if summary.val_majority and summary.val_images < FEW_IMAGES:
            balanced += f" (always one class: {percent(summary.val_majority.balanced_accuracy)})"
    stdout_console.print(
        f"{summary.status}: {summary.recipe} on {escape_control(summary.dataset)}, {summary.epochs_text} "
        f"in {summary.train_seconds:,.1f} s, validation {summary.measure} {score}{balanced}"
    )
    stdout_console.print(f"run:  {run.path}")
