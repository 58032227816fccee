"""`tinysight predict`: what a run says of some pictures."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysight import packages
from tinysight.cli.options import ONNX, DataDirOption, JsonOption, RunOrFileArgument
from tinysight.errors import InputError
from tinysight.screen.console import complain, progress, say, shown

if TYPE_CHECKING:
    from tinysight.evaluation.answering import Source
    from tinysight.evaluation.predict import Prediction


class Engine(StrEnum):
    """What --engine takes."""

    local = "local"
    ray = "ray"


def predict(
    run: RunOrFileArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Files, globs, folders, or - for standard input.")
    ] = [],  # noqa: B006  (typer copies it)
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 3,
    test_index: Annotated[list[int], typer.Option(help="Also predict this image of the test set.")] = [],  # noqa: B006
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
    output: Annotated[
        str | None,
        typer.Option(metavar="OUT.parquet", help="Write a row for each picture of one folder, glob, Parquet or tar."),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="With --output: this machine's cores, or a cluster.")] = Engine.local,
    workers: Annotated[int | None, typer.Option(min=1, help="With --output: how many; default one a core.")] = None,
) -> None:
    """Say what is on each IMAGE, with probabilities."""
    if output is not None:
        if len(images) != 1 or test_index or as_json:
            raise InputError("--output takes one input (a folder, a glob, a Parquet or a tar file) and no --json.")
        _in_bulk(run, images[0], output, engine, workers, top)
        return
    if engine is not Engine.local or workers:
        raise InputError("--engine and --workers are for --output OUT.parquet; say where the rows are to go.")

    from tinysight.evaluation.predict import Predictor

    predictor = Predictor(_opened(run), top)
    found: list[Prediction] = []
    failed = False
    for result in predictor.predict(images, test_index, data_dir, progress):
        if isinstance(result, str):
            failed = True
            complain(result)
        elif as_json:
            found.append(result)
        else:
            say(shown(_line(result)))
    if as_json:
        say(json.dumps(predictor.document(found), indent=2, ensure_ascii=False))
    elif test_index:  # what must be known of the run's own images
        for remark in predictor.classifier.remarks:
            progress.note(remark)
    if failed:
        raise typer.Exit(2)


def _in_bulk(run: Path, images: str, output: str, engine: Engine, workers: int | None, top: int) -> None:
    packages.require("pyarrow", extra="scale")

    from tinysight.bulk.predict import predict as predict_in_bulk

    total = predict_in_bulk(_opened(run.resolve()), images, output, engine.value, workers, top, progress)
    before = f" beside the {total.before:,} parts of an earlier sitting" if total.before else ""
    say(shown(f"{total.rows:,} rows written to {output}{before}"))
    if total.errors:
        say(f"{total.errors:,} of them hold no prediction, and in the column `error` why")
    say(shown(f"next: pandas.read_parquet({output!r}), or whatever else reads a folder of Parquet files"))


def _opened(path: Path) -> Source:
    if path.suffix == ONNX:
        from tinysight.interop.onnx.opening import OnnxFile

        return OnnxFile(path)

    from tinysight.runs.run import Run

    return Run.open(path)


def _line(prediction: Prediction) -> str:
    named = ", ".join(f"{choice['class']} {100 * choice['probability']:.1f} %" for choice in prediction["top"])
    label = f"  (labelled {prediction['label']})" if "label" in prediction else ""
    return f"{prediction['input']}: {'unsure: ' if prediction['unsure'] else ''}{named}{label}"
