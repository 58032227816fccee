"""`tinysight predict`: what a run says of some pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysight.cli.options import ONNX, DataDirOption, JsonOption, RunOrFileArgument
from tinysight.screen.console import complain, progress, say, shown

if TYPE_CHECKING:
    from tinysight.evaluation.answering import Source
    from tinysight.evaluation.predict import Prediction


def predict(
    run: RunOrFileArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Files, globs, folders, or - for standard input.")
    ] = [],  # noqa: B006  (typer copies it)
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 3,
    test_index: Annotated[list[int], typer.Option(help="Also predict this image of the test set.")] = [],  # noqa: B006
    as_json: JsonOption = False,
    data_dir: DataDirOption = None,
) -> None:
    """Say what is on each IMAGE, with probabilities."""
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
