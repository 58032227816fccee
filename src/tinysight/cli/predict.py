"""`tinysight predict`: classify images one by one or in bulk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinysight import api
from tinysight._util.console import escape_control, print_error, print_result
from tinysight._util.errors import InputError
from tinysight._util.formatting import percent
from tinysight.cli.options import ONNX_SUFFIX, DataDirOption, JsonOption, RunOrFileArgument
from tinysight.cli.output import command, print_next
from tinysight.cli.progress import progress

if TYPE_CHECKING:
    from tinysight.evaluation.predict import ClassProbability, ImagePredictor, Prediction, UnreadableImage

    Result = Prediction | UnreadableImage


def predict(
    run: RunOrFileArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE...", help="Image files, globs, folders, or - for standard input.")
    ] = [],  # noqa: B006  (typer copies it)
    top: Annotated[int, typer.Option(min=1, help="Number of classes to report per image.")] = 3,
    test_index: Annotated[
        list[int], typer.Option(help="Also predict the test image with this index; repeatable.")
    ] = [],  # noqa: B006
    as_json: JsonOption = False,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="With --test-index: the new location of RUN's images.")
    ] = None,
    data_dir: DataDirOption = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="OUT.csv|OUT.parquet",
            help="Write one row per image. For Parquet, pass one folder, glob, Parquet or tar file as IMAGE.",
        ),
    ] = None,
    sort_into: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Copy each image into DIR/CLASS, or DIR/unsure.")
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="For Parquet output: local (this machine) or ray (a cluster).")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(min=1, help="For Parquet output: number of workers; default: one per core.")
    ] = None,
) -> None:
    """Predict the class of each IMAGE, with probabilities.

    Example: tinysight predict runs/fast-1 cat.jpg
    """
    if output is not None and not output.lower().endswith(".csv"):
        if len(images) != 1 or test_index or as_json or sort_into:
            raise InputError(
                "--output: Parquet output takes one input, without --test-index, --json or --sort-into. Pass one "
                "folder, glob, Parquet or tar file."
            )
        _predict_batch(run, images[0], output, engine, workers, top)
        return
    problems = {
        "--engine and --workers: need Parquet output. Add --output OUT.parquet.": engine != "local" or workers,
        "--output and --json: cannot be combined. Choose one of them.": output and as_json,
        "--sort-into: copies image files only. Leave out --test-index and standard input (-).": sort_into
        and (test_index or "-" in images),
        "--data: needs --test-index. To predict all images of a folder, pass the folder as IMAGE.": data
        and not test_index,
    }
    for message in (message for message, is_wrong in problems.items() if is_wrong):
        raise InputError(message)
    predictor = api.open_predictor(run, top=top, dataset=data, data_dir=data_dir, progress=progress)
    results = predictor.predict(images, test_index, data_dir, progress)
    counts = _write(predictor, results, top, as_json, output, sort_into)
    if not as_json:
        for note in predictor.classifier.notes if test_index else ():  # notes about the dataset
            progress.note(note)
    if counts.unreadable and not output:
        raise typer.Exit(2)
    if not as_json:
        print_next(_next_step(run, images, test_index))


@dataclass
class _Counts:
    """Numbers of predicted images: in all, unreadable, and by class. An image with several labels counts for each."""

    images: int = 0
    unreadable: int = 0
    by_class: Counter[str] = field(default_factory=Counter)

    def count(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield the results, and count them."""
        from tinysight.evaluation.predict import UnreadableImage

        for result in results:
            self.images += 1
            if isinstance(result, UnreadableImage):
                self.unreadable += 1
            elif "labels" in result:
                self.by_class.update([choice["class"] for choice in result["labels"]] or ["no label"])
            else:
                self.by_class["unsure" if result["unsure"] else result["top"][0]["class"]] += 1
            yield result

    def __str__(self) -> str:
        """Return for example "40 images: cat 21, dog 15, unsure 3, unreadable 1"."""
        classes = [f"{name} {count:,}" for name, count in self.by_class.most_common()]
        unreadable = [f"unreadable {self.unreadable:,}"] if self.unreadable else []
        return f"{self.images:,} images: {', '.join([*classes, *unreadable])}"


def _write(
    predictor: ImagePredictor,
    results: Iterator[Result],
    top: int,
    as_json: bool,
    output: str | None,
    sort_into: Path | None,
) -> _Counts:
    """Print the results or write them to files, and return their numbers."""
    from tinysight.data.labels import require_multi_class
    from tinysight.evaluation.prediction_files import ImageSorter, write_csv

    counts = _Counts()
    if sort_into:
        require_multi_class(predictor.classifier.task, "--sort-into", "Write a table with --output OUT.csv instead.")
        results = ImageSorter(sort_into).copy(results)
    results = counts.count(results)
    if output:
        write_csv(results, Path(output), top, predictor.classifier.task)
    elif as_json:
        print_result(json.dumps(predictor.document(list(_readable(results))), indent=2, ensure_ascii=False))
    else:
        for prediction in _readable(results):
            for line in _format(prediction, len(predictor.classifier.class_names)):
                print_result(escape_control(line))
    if not as_json and (output or sort_into):
        print_result(escape_control(str(counts)))
    for path in filter(None, (output, sort_into)):
        print_result(escape_control(f"{'folder' if path == sort_into else 'file'}: {path}"))
    return counts


def _readable(results: Iterable[Result]) -> Iterator[Prediction]:
    """Yield the predictions, and print an error for each image that cannot be read."""
    from tinysight.evaluation.predict import UnreadableImage

    for result in results:
        if isinstance(result, UnreadableImage):
            print_error(result.error)
        else:
            yield result


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


def _format(prediction: Prediction, num_classes: int) -> Iterator[str]:
    """Yield the line of an image, and an indented line if its prediction set adds information."""
    from tinysight.models.conformal import describe_set

    is_unlike = prediction["unlike_training"] is True
    doubts = [*["unsure"] * prediction.get("unsure", False), *["unlike the training images"] * is_unlike]
    head = f"{prediction['input']}: {', '.join(doubts)}{': ' if doubts else ''}"
    if "labels" in prediction:
        yield f"{head}{_format_labels(prediction)}"
        return
    label = f"  (label: {prediction['label']})" if "label" in prediction else ""
    yield f"{head}{_format_choices(prediction['top'])}{label}"
    text = describe_set(prediction["prediction_set"] or [], num_classes)
    if text and not is_unlike:  # the coverage of sets does not hold for images unlike the training images
        yield f"    {text}"


def _format_labels(prediction: Prediction) -> str:
    """Return the predicted labels of an image; if there are none, "no label" and the most probable ones."""
    labels = _format_choices(prediction.get("labels", [])) or f"no label ({_format_choices(prediction['top'])})"
    if "true_labels" not in prediction:
        return labels
    return f"{labels}  (labels: {', '.join(prediction['true_labels']) or 'none'})"


def _format_choices(choices: list[ClassProbability]) -> str:
    return ", ".join(f"{choice['class']} {percent(choice['probability'])}" for choice in choices)
