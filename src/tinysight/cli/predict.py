"""`tinysight predict`: classify images one by one or in bulk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinysight import api
from tinysight._util.console import escape_control, print_error, print_result, progress
from tinysight._util.errors import InputError
from tinysight._util.formatting import percent
from tinysight.cli.options import ONNX_SUFFIX, DataDirOption, JsonOption, RunOrFileArgument
from tinysight.cli.output import command, print_next

if TYPE_CHECKING:
    from tinysight.evaluation.predict import Prediction


def predict(
    run: RunOrFileArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Image files, globs, folders, or - for standard input.")
    ] = [],  # noqa: B006  (typer copies it)
    top: Annotated[int, typer.Option(min=1, help="Number of classes to report per image.")] = 3,
    test_index: Annotated[list[int], typer.Option(help="Also predict this test image; repeatable.")] = [],  # noqa: B006
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="OUT.parquet", help="Bulk prediction: one row per image of a folder, glob, Parquet or tar file."
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="With --output: local (this machine) or ray (a cluster).")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --output: number of workers; default: one per core.")
    ] = None,
) -> None:
    """Predict the class of each IMAGE, with probabilities.

    Example: tinysight predict runs/fast-1 cat.jpg
    """
    if output is not None:
        if len(images) != 1 or test_index or as_json:
            raise InputError(
                "--output: takes one input, without --test-index or --json. Pass one folder, glob, Parquet or tar file."
            )
        _predict_batch(run, images[0], output, engine, workers, top)
        return
    if engine != "local" or workers:
        raise InputError("--engine and --workers: need --output. Add --output OUT.parquet.")
    predictor = api.open_predictor(run, top=top)
    predictions: list[Prediction] = []
    failed = False
    for result in predictor.predict(images, test_index, data_dir, progress):
        if isinstance(result, str):
            failed = True
            print_error(result)
        elif as_json:
            predictions.append(result)
        else:
            print_result(escape_control(_format(result)))
    if as_json:
        print_result(json.dumps(predictor.document(predictions), indent=2, ensure_ascii=False))
    elif test_index:  # notes about the dataset
        for note in predictor.classifier.notes:
            progress.note(note)
    if failed:
        raise typer.Exit(2)
    if not as_json:
        print_next(_next_step(run, images, test_index))


def _next_step(run: Path, images: list[str], test_index: list[int]) -> str:
    if run.suffix == ONNX_SUFFIX:
        return command("evaluate", run, "--data", "DIR")
    files = [image for image in images[:1] if image != "-"]
    index = ["--test-index", str(test_index[0])] if test_index and not files else []
    return command("explain", run, *(files or index or ["IMAGE"]))


def _predict_batch(
    run: Path, source: str, output: str, engine: Literal["local", "ray"], workers: int | None, top: int
) -> None:
    total = api.predict_batch(run, source, output, engine=engine, workers=workers, top=top, progress=progress)
    skipped = f" ({total.skipped:,} shards already done)" if total.skipped else ""
    print_result(escape_control(f"{total.rows:,} rows written to {output}{skipped}"))
    if total.errors:
        print_result(f"{total.errors:,} images failed; see column `error`")
    print_next(f"pandas.read_parquet({output!r}), or any other reader of Parquet folders")


def _format(prediction: Prediction) -> str:
    classes = ", ".join(f"{choice['class']} {percent(choice['probability'])}" for choice in prediction["top"])
    label = f"  (label: {prediction['label']})" if "label" in prediction else ""
    return f"{prediction['input']}: {'unsure: ' if prediction['unsure'] else ''}{classes}{label}"
