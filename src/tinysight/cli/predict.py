"""`tinysight predict`: classify images one by one or in bulk."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysight._util import optional_deps
from tinysight._util.console import escape_control, print_error, print_result, progress
from tinysight._util.errors import InputError
from tinysight._util.formatting import percent
from tinysight.cli.options import ONNX_SUFFIX, DataDirOption, JsonOption, RunOrFileArgument

if TYPE_CHECKING:
    from tinysight.evaluation.predict import Prediction
    from tinysight.evaluation.protocols import ModelSource


class EngineChoice(StrEnum):
    """Values of --engine."""

    local = "local"
    ray = "ray"


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
        EngineChoice, typer.Option(help="With --output: local (this machine) or ray (a cluster).")
    ] = EngineChoice.local,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --output: number of workers; default: one per core.")
    ] = None,
) -> None:
    """Predict the class of each IMAGE, with probabilities."""
    if output is not None:
        if len(images) != 1 or test_index or as_json:
            raise InputError(
                "--output: takes one input, without --test-index or --json. Pass one folder, glob, Parquet or tar file."
            )
        _predict_in_bulk(run, images[0], output, engine, workers, top)
        return
    if engine is not EngineChoice.local or workers:
        raise InputError("--engine and --workers: need --output. Add --output OUT.parquet.")

    from tinysight.evaluation.predict import ImagePredictor

    predictor = ImagePredictor(_open(run), top)
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


def _predict_in_bulk(run: Path, images: str, output: str, engine: EngineChoice, workers: int | None, top: int) -> None:
    optional_deps.require("pyarrow", extra="scale")

    from tinysight.bulk.batch_predict import batch_predict as predict_in_bulk

    total = predict_in_bulk(_open(run.resolve()), images, output, engine.value, workers, top, progress)
    skipped = f" ({total.skipped:,} shards already done)" if total.skipped else ""
    print_result(escape_control(f"{total.rows:,} rows written to {output}{skipped}"))
    if total.errors:
        print_result(f"{total.errors:,} images failed; see column `error`")
    print_result(escape_control(f"next: pandas.read_parquet({output!r}), or any other reader of Parquet folders"))


def _open(path: Path) -> ModelSource:
    if path.suffix == ONNX_SUFFIX:
        from tinysight.interop.onnx.runtime import OnnxFile

        return OnnxFile(path)

    from tinysight.runs.run import Run

    return Run.open(path)


def _format(prediction: Prediction) -> str:
    classes = ", ".join(f"{choice['class']} {percent(choice['probability'])}" for choice in prediction["top"])
    label = f"  (label: {prediction['label']})" if "label" in prediction else ""
    return f"{prediction['input']}: {'unsure: ' if prediction['unsure'] else ''}{classes}{label}"
