"""The public functions: one per verb. Each resolves its arguments, calls the package that does the work, and returns.

Heavy modules such as torch are imported inside the functions, so that `import tinysight` takes milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tinysight._util import console
from tinysight._util.errors import InputError
from tinysight._util.progress import SILENT, Progress

if TYPE_CHECKING:
    from PIL import Image

    from tinysight.bulk.batch_predict import BatchSummary
    from tinysight.bulk.executors import BatchEngine
    from tinysight.data.dataset import Dataset
    from tinysight.estimator import MultiLabelPredictions, Predictions
    from tinysight.evaluation.cross_validation import AnyCrossValidation
    from tinysight.evaluation.predict import ImagePredictor
    from tinysight.evaluation.significance import RunComparison
    from tinysight.interop.exporters import Int8Images
    from tinysight.models.network import NetworkFactory
    from tinysight.models.predictor import ModelSource
    from tinysight.models.summary import LayerRow
    from tinysight.models.transfer import InitialWeights
    from tinysight.recipes.schema import ModelSection, Recipe
    from tinysight.reporting.card import Card
    from tinysight.reporting.explanation_plot import Explanation
    from tinysight.reporting.rendering import HtmlPage
    from tinysight.runs.audit_results import Audit
    from tinysight.runs.image_table import ImageTable
    from tinysight.runs.records import AnyMetrics, EvaluatedSplit
    from tinysight.runs.run import Run
    from tinysight.training.change import Edit
    from tinysight.training.device import DeviceOption
    from tinysight.training.distributed.launch import Launcher
    from tinysight.training.loggers import Callback, LoggerName
    from tinysight.training.precision import PrecisionOption
    from tinysight.tuning.tune import TuneResult

    RunLike = Run | str | Path
    """A run, or the path of its directory."""

    DatasetLike = Dataset | str | Path | tuple[Any, Any] | Any
    """A dataset: "cifar10", "shapes", a folder, a CSV file, a `Dataset`, a pair (images, labels) or a
    DataFrame."""

_ONNX_SUFFIX = ".onnx"


def load_dataset(
    dataset: DatasetLike,
    image_size: int = 32,
    *,
    data_dir: str | Path | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Load a dataset with square images of `image_size` pixels.

    Args:
        dataset: "cifar10", "shapes" (with options: "shapes:train=5000,seed=3"), a folder with one subfolder per class,
            or a pair (images, labels).
        image_size: height and width of the images in pixels; other sizes are resized and center-cropped.
        data_dir: the folder with CIFAR-10; by default the usual places are searched.
        skip_unreadable: skip unreadable images of a folder instead of raising an error.
        progress: receives the progress of downloading and decoding; by default shown in a terminal or notebook.

    Raises:
        DataError: the dataset does not exist or is invalid.
        DownloadError: CIFAR-10 is not on this machine and cannot be downloaded.

    >>> load_dataset("shapes:train=50,test=20").class_names[:3]
    ('circle', 'ring', 'crescent')
    """
    return _load(dataset, image_size, data_dir, skip_unreadable, _shown(progress))


def train(
    recipe: str | Path | Recipe,
    dataset: DatasetLike = "cifar10",
    *,
    out: str | Path | None = None,
    seed: int = 0,
    epochs: int | None = None,
    minutes: float | None = None,
    overrides: Sequence[str] = (),
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    workers: int = 1,
    launcher: Launcher | None = None,
    resume: bool = False,
    from_run: RunLike | None = None,
    group: str | None = None,
    near_duplicates: Literal["keep-together", "drop"] | None = None,
    data_dir: str | Path | None = None,
    skip_unreadable: bool = False,
    network: NetworkFactory | None = None,
    callbacks: Sequence[Callback] = (),
    loggers: Sequence[LoggerName] = (),
    progress: Progress | None = None,
) -> Run:
    """Train a recipe on a dataset and write a run directory.

    Ctrl-C ends the training after the current step; the run's status is then "interrupted" and `resume` continues it.

    Args:
        recipe: name of a built-in recipe, path of a TOML file, or a `Recipe`.
        dataset: "cifar10", "shapes", a folder with one subfolder per class, a `Dataset`, or a pair (images, labels).
        out: the run directory to create, or with `resume` to continue; by default runs/RECIPE-1, -2, ...
        seed: seed of all random numbers; with a fixed number of epochs, equal seeds give equal weights.
        epochs: number of epochs, instead of the recipe's.
        minutes: time budget in minutes, instead of a number of epochs. "fast" requires one.
        overrides: recipe overrides, each of the form "section.key=value".
        device: "auto" uses CUDA when available.
        precision: "auto" uses bfloat16 when the hardware supports it.
        workers: number of data-parallel processes, which split every batch.
        launcher: what starts the workers: "torchrun" (default, this machine) or "ray" (a cluster).
        resume: continue the run in `out`.
        from_run: a run whose weights the training starts from, for more epochs or for other images (fine-tuning). Its
            network and image size replace those of the recipe. Classes are matched by name; new ones start untrained.
        group: images of one group stay in one split. "parent": a group is a folder below the class; or a regular
            expression with one group, which finds the name of the group in the path.
        near_duplicates: "keep-together": near-duplicates stay in one split. "drop": training images with a
            near-duplicate in validation or test are not trained on. By default, a note states their number.
        data_dir: the folder with CIFAR-10; by default the usual places are searched.
        skip_unreadable: skip unreadable images of a folder instead of raising an error.
        network: a function of (num_classes, image_size) that builds your own network, instead of the recipe's. Later,
            open the run with `Run.open(path, network)`: its files do not name the function.
        callbacks: functions that are called with the metrics of each epoch (`EpochRecord`); they need one worker.
        loggers: what records every epoch: "csv" and "tensorboard" in the run directory, "mlflow" on its server.
        progress: receives the progress; by default shown in a terminal or notebook.

    Returns:
        The run. Its `summary()` holds the status and the validation accuracy.

    Raises:
        RecipeError: the recipe is invalid or does not fit the dataset.
        DataError: the dataset does not exist or is invalid.
        RunError: `out` exists, or with `resume` holds no run with these settings.
        TrainingError: training diverged, ran out of memory, or the time budget is too short.
    """
    start_time, progress = time.time(), _shown(progress)
    resolved = _with_data(_recipe(recipe, overrides, epochs, minutes, dataset, from_run), group, near_duplicates)
    if workers > 1 and resolved.training.method != "scratch":
        raise InputError(f"workers: training.method {resolved.training.method} has one process only. Use one worker.")
    if resume and out is None:
        raise InputError("resume: needs the run to continue. Pass its directory as `out`.")
    if network is not None:
        if workers > 1 or launcher:
            raise InputError("network: cannot be sent to other processes. Use one worker.")
        from tinysight.recipes.schema import ModelSection

        resolved = resolved.model_copy(update={"model": ModelSection(architecture="custom")})

    from tinysight.data.load import resolve_source
    from tinysight.runs.run import Run
    from tinysight.training.distributed.launch import launch_training
    from tinysight.training.request import TrainRequest

    path = next_run(resolved.name) if out is None else Path(out)
    initial_weights = None
    if from_run is not None and resolved.training.method == "scratch":
        resolved, initial_weights = _start_from(open_run(from_run), resolved)
    request = TrainRequest(
        recipe=resolved,
        dataset=resolve_source(dataset)
        if isinstance(dataset, str | Path)
        else _load(dataset, resolved.data.image_size, data_dir, skip_unreadable, progress),
        path=path,
        seed=seed,
        data_dir=_path(data_dir),
        skip_unreadable=skip_unreadable,
        precision=precision,
        device=device,
        resume=resume,
        loggers=tuple(loggers),
        start_time=start_time,
        initial_weights=initial_weights,
        network=network,
    )
    launch_training(request, workers, launcher, progress, callbacks)
    return Run(path, network)


def cross_validate(
    recipe: str | Path | Recipe,
    dataset: DatasetLike = "cifar10",
    *,
    folds: int = 5,
    out: str | Path | None = None,
    seed: int = 0,
    epochs: int | None = None,
    minutes: float | None = None,
    overrides: Sequence[str] = (),
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    group: str | None = None,
    near_duplicates: Literal["keep-together", "drop"] | None = None,
    data_dir: str | Path | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> AnyCrossValidation:
    """Train one run per fold, and measure the pooled predictions for images that a run was not trained on.

    For small datasets, whose test split is too small to tell much. The folds are stratified by class, and groups stay
    in one fold. They divide all images but those of a test or validation split that you made.

    Args:
        recipe: name of a built-in recipe, path of a TOML file, or a `Recipe`.
        dataset: as in `train`.
        folds: number of folds, 2 to 50; every run trains on the images of all others.
        out: the folder to create, with fold-1, fold-2, ..., cv.json and out_of_fold.csv; by default
            runs/RECIPE-cv-1, -2, ...
        seed: seed of the folds and of all runs.
        epochs: number of epochs of each run, instead of the recipe's.
        minutes: time budget of all runs together, in minutes.
        overrides: recipe overrides, each of the form "section.key=value".
        device: "auto" uses CUDA when available.
        precision: "auto" uses bfloat16 when the hardware supports it.
        group: as in `train`.
        near_duplicates: as in `train`.
        data_dir: the folder with CIFAR-10; by default the usual places are searched.
        skip_unreadable: skip unreadable images of a folder instead of raising an error.
        progress: receives the progress; by default shown in a terminal or notebook.

    Returns:
        The record in cv.json: accuracy and balanced accuracy with 95% intervals, and the folds. With several labels per
        image: mean average precision, macro F1 and exact match.

    Raises:
        DataError: the dataset is invalid, or a class has fewer images or groups than there are folds.
        RunError: `out` exists.
        TrainingError: as for `train`, or a run was interrupted.
    """
    progress = _shown(progress)
    resolved = _with_data(_recipe(recipe, overrides, epochs, minutes, dataset), group, near_duplicates)

    from tinysight.data.arrange import arrange
    from tinysight.evaluation.cross_validation import cross_validate as train_folds
    from tinysight.training.distributed.launch import launch_training
    from tinysight.training.request import TrainRequest

    loaded = arrange(_load(dataset, resolved.data.image_size, data_dir, skip_unreadable, progress), resolved.data)
    if resolved.training.minutes is not None:
        share = {"minutes": resolved.training.minutes / max(1, folds)}
        resolved = resolved.model_copy(update={"training": resolved.training.model_copy(update=share)})

    def train_fold(fold_recipe: Recipe, fold_data: Dataset, path: Path) -> None:
        request = TrainRequest(fold_recipe, fold_data, path, seed=seed, precision=precision, device=device)
        launch_training(request, 1, None, progress)

    path = next_run(f"{resolved.name}-cv") if out is None else Path(out)
    return train_folds(loaded, resolved, folds, seed, path, train_fold, progress)


def tune(
    recipe: str | Path | Recipe,
    dataset: str | Path = "cifar10",
    *,
    minutes: float,
    out: str | Path | None = None,
    workers: int = 1,
    seed: int = 0,
    epochs: int | None = None,
    overrides: Sequence[str] = (),
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    data_dir: str | Path | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> TuneResult:
    """Search a recipe's hyperparameters on the validation images, and save the best values as a recipe.

    The search maximizes the accuracy, or with several labels per image the mean average precision.

    Args:
        recipe: name of a built-in recipe, path of a TOML file, or a `Recipe`.
        dataset: "cifar10", "shapes", or a folder with one subfolder per class.
        minutes: time budget in minutes.
        out: folder of the study; an existing study is resumed or joined. By default runs/RECIPE-tuned-1, -2, ...
        workers: number of processes on this machine.
        seed: seed of the split, the trials and the search.
        epochs: number of epochs, instead of the recipe's.
        overrides: recipe overrides, each of the form "section.key=value".
        device: "auto" uses CUDA when available.
        precision: "auto" uses bfloat16 when the hardware supports it.
        data_dir: the folder with CIFAR-10; by default the usual places are searched.
        skip_unreadable: skip unreadable images of a folder instead of raising an error.
        progress: receives a line per trial; by default shown in a terminal or notebook.

    Raises:
        InputError: optuna is not installed, or the recipe depends on a time budget.
        RunError: `out` is not a study, or one with other settings.
        TrainingError: the time is too short, or no trial finished.
    """
    from tinysight._util import optional_deps

    start_time, progress = time.perf_counter(), _shown(progress)
    optional_deps.require("optuna", extra="scale")
    resolved = _recipe(recipe, overrides, epochs, None, dataset)  # before the slow import of torch

    from tinysight.data.arrange import arrange
    from tinysight.data.load import resolve_source
    from tinysight.tuning.setup import TuneRequest, check_available_or_same, check_tunable
    from tinysight.tuning.tune import tune as search

    check_tunable(resolved)
    path = next_run(f"{resolved.name}-tuned") if out is None else Path(out)
    source = resolve_source(dataset)
    request = TuneRequest(resolved, source, seed, precision, device, _path(data_dir), skip_unreadable)
    check_available_or_same(path, request)  # before loading the images
    loaded = arrange(_load(source, resolved.data.image_size, data_dir, skip_unreadable, progress), resolved.data)
    _note_all((*loaded.notes, *loaded.report.notes()), progress)
    return search(path, request, loaded, minutes, start_time, workers, progress)


def evaluate(
    run: RunLike,
    dataset: DatasetLike | None = None,
    *,
    split: EvaluatedSplit = "test",
    tta: bool = False,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> AnyMetrics:
    """Evaluate a run; write metrics.json, predictions.npz and plots into its directory.

    A dataset other than that of the run is evaluated without writing files: its test split, or all of its images if it
    has none, but no image that the run was trained or validated on. If images of the run are missing from its own
    dataset, the others are evaluated without writing files.

    Args:
        run: a finished or interrupted run or its path; or the path of an ONNX file, which needs `dataset`.
        dataset: the images to evaluate on; by default those of the run. A run that was trained on arrays needs the same
            arrays again.
        split: "test" or "validation"; keep "test" for the final evaluation. "new": only the images that the run has not
            seen, in a dataset that has grown; no files are written.
        tta: also compute the accuracy with test-time augmentation.
        data_dir: the folder with CIFAR-10; by default, the one used in training.
        progress: receives the progress of loading the dataset; by default shown in a terminal or notebook.

    Returns:
        The metrics, as in metrics.json: `Metrics`, or `MultiLabelMetrics` if images may have several labels.

    Raises:
        RunError: a file of the run is missing or damaged.
        DataError: the images of the run have changed, or `dataset` has other classes than the run.
    """
    progress = _shown(progress)
    source = open_model(run)

    from tinysight.evaluation.evaluate import evaluate as evaluate_run
    from tinysight.evaluation.evaluate import evaluate_classifier
    from tinysight.reporting.evaluation_plots import plot_evaluation
    from tinysight.runs.run import Run
    from tinysight.runs.run_dataset import is_dataset_of, match_classes, open_for_evaluation

    if isinstance(source, Run):
        given = None if dataset is None else _given_dataset(source, dataset, data_dir, progress)
        opened = open_for_evaluation(source, given, split, _path(data_dir), progress)
        opened = match_classes(opened, source.classifier())
        metrics = evaluate_run(source, opened, "test" if split == "new" else split, tta)
        if is_dataset_of(source, opened):
            plot_evaluation(source, opened)
        return metrics
    if dataset is None:
        raise InputError(f"{source.path}: an ONNX file has no dataset of its own. Pass the images to evaluate on.")
    classifier = source.classifier()
    _note_all(classifier.notes, progress)
    loaded = _load(dataset, classifier.image_size, data_dir, False, progress, needs_splits=False)
    return evaluate_classifier(classifier, loaded)


def predict(run: RunLike, images: Any, *, tta: bool = False) -> Predictions | MultiLabelPredictions:
    """Predict the classes of images, or their labels if each may have several.

    Args:
        run: a run or its path, or the path of an ONNX file.
        images: a list of paths, arrays or Pillow images; or a uint8 array of 0..255, (n, height, width, 3) or
            (n, 3, height, width).
        tta: average over flipped and shifted copies of each image; slower and slightly more accurate.

    Returns:
        The predictions, in the order of the images; notebooks display them with the images.

    Raises:
        InputError: `images` contains no images, or one cannot be read.
        RunError: a file of the run is missing or damaged.
    """
    source = open_model(run)

    import numpy as np

    from tinysight.data.image_io import to_crops
    from tinysight.estimator import MultiLabelPredictions, Predictions
    from tinysight.models.classifier import Classifier
    from tinysight.models.predictor import Outputs
    from tinysight.runs.run import Run

    classifier = source.classifier()
    if not tta:
        outputs_of: Callable[[Any], Outputs] = classifier.outputs
    elif isinstance(classifier, Classifier):
        outputs_of = partial(classifier.outputs, tta=True)
    else:
        raise InputError(f"{source.path}: an ONNX file has TTA only if it was exported with it. Pass tta=False.")
    crops = to_crops(images, classifier.image_size, classifier.crops)
    outputs = Outputs.over_crops(outputs_of, crops)
    names = classifier.class_names
    classes = source.environment().dataset.parse_labels(names) if isinstance(source, Run) else np.array(names)
    if classifier.task == "multi-label":
        return MultiLabelPredictions.of(classifier, crops[:, 0], classes, outputs)
    return Predictions.of(classifier, crops[:, 0], classes, outputs)


def open_predictor(
    run: RunLike,
    *,
    top: int = 3,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> ImagePredictor:
    """Return a predictor that takes file names, globs and folders, and yields one prediction at a time.

    Args:
        run: a run or its path, or the path of an ONNX file.
        top: number of classes to report per image.
        dataset: the dataset of the run, for predictions of test images, if it is not at its recorded source.
        data_dir: the folder with CIFAR-10; by default, the one used in training.
        progress: receives the progress of loading the dataset; by default shown in a terminal or notebook.
    """
    source = open_model(run)

    from tinysight.evaluation.predict import ImagePredictor
    from tinysight.runs.run import Run

    given = None
    if dataset is not None and isinstance(source, Run):
        given = _given_dataset(source, dataset, data_dir, _shown(progress))
    return ImagePredictor(source, top, given)


def predict_batch(
    run: RunLike,
    source: str,
    output: str,
    *,
    engine: BatchEngine = "local",
    workers: int | None = None,
    top: int = 3,
    progress: Progress | None = None,
) -> BatchSummary:
    """Predict all images of a folder, glob, Parquet or tar file into Parquet files; finished shards are skipped.

    Args:
        run: a run or its path, or the path of an ONNX file.
        source: the images: a path, or a URI that pyarrow opens.
        output: the folder to write: a path or a URI.
        engine: "local" uses this machine's cores, "ray" a cluster.
        workers: number of workers; by default one per core.
        top: number of classes to report per image.
        progress: receives the number of input bytes; by default shown in a terminal or notebook.

    Raises:
        InputError: pyarrow is not installed, there are no images, or `output` holds something else.
        StorageError: `output` cannot be written.
    """
    from tinysight._util import optional_deps

    optional_deps.require("pyarrow", extra="scale")

    from tinysight.bulk.batch_predict import batch_predict

    path = run if isinstance(run, str | Path) else run.path
    model = open_model(Path(path).resolve())  # every worker must find it
    return batch_predict(model, source, output, engine, workers, top, _shown(progress))


def explain(
    run: RunLike,
    images: Sequence[str | Path] = (),
    *,
    test_indices: Sequence[int] = (),
    out: str | Path | None = None,
    on_error: Callable[[str], None] | None = None,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Explanation]:
    """Explain predictions with occlusion maps and the nearest training images; write them as one figure.

    Args:
        run: a run or its path.
        images: image files, globs or folders; at most 50 images.
        test_indices: indices of test images to explain as well.
        out: the image file to write; by default plots/explanation.png in the run.
        on_error: called with a message for each image that cannot be read; by default, the first one raises.
        dataset: the dataset of the run, if it is not at its recorded source: a moved folder, or the arrays that it was
            trained on.
        data_dir: the folder with CIFAR-10; by default, the one used in training.
        progress: receives the progress; by default shown in a terminal or notebook.

    Returns:
        One explanation per readable image, in the order given. With several labels per image: one for each label that
        an image gets, at most three, or for the most probable label if it gets none.

    Raises:
        InputError: captum is not installed, there are no images or too many, or one cannot be read.
        DataError: the images of the run have changed.
    """
    if not images and not test_indices:
        raise InputError("explain: no images were given. Pass files, globs, folders or test indices.")
    opened = open_run(run)

    from tinysight.explanation.explain import Explainer
    from tinysight.reporting.explanation_plot import plot_explanations
    from tinysight.reporting.style import save

    progress = _shown(progress)
    explainer = Explainer(opened, _run_dataset(opened, dataset, data_dir, progress), progress=progress)
    explanations, failures = explainer.explain_images([str(image) for image in images])
    explanations += explainer.explain_test_images(test_indices)
    for failure in failures:
        if on_error is None:
            raise InputError(failure)
        on_error(failure)
    if explanations:
        summary = opened.summary()
        title = f"Predictions of {summary.recipe}, trained on {summary.dataset}, explained"
        path = opened.plot_path("explanation") if out is None else Path(out)
        save(plot_explanations(explanations, title, " ".join(summary.notes)), path)
    return explanations


def audit(
    run: RunLike,
    dataset: DatasetLike | None = None,
    *,
    minutes: float | None = None,
    groups: str | Path | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Audit:
    """Audit a run for near-duplicates, subgroup gaps, label errors and privacy leakage; write audit.json.

    Sections that an earlier audit of the same weights completed are not computed again. Subgroups, label errors and
    privacy need one class per image, and are left out if images may have several labels.

    Args:
        run: a finished or interrupted run or its path.
        dataset: the dataset of the run, if it is not at its recorded source: a moved folder, or the arrays that it was
            trained on.
        minutes: time budget in minutes; by default, as long as four shadow models take.
        groups: CSV file with a column `image`, and one column per attribute of the test images.
        data_dir: the folder with CIFAR-10; by default, the one used in training.
        progress: receives the progress; by default shown in a terminal or notebook.

    Raises:
        InputError: cleanlab is not installed, or `groups` are given for images that may have several labels.
        RunError: a file of the run is missing or damaged.
        DataError: the images of the run have changed, or `groups` names other images.
    """
    opened = open_run(run)

    from tinysight.auditing.audit import audit as run_audit

    progress = _shown(progress)
    images = _run_dataset(opened, dataset, data_dir, progress)
    _note_all(images.report.warnings(), progress)
    return run_audit(opened, minutes, _path(groups), progress=progress, dataset=images)


def compare(
    *runs: RunLike,
    out: str | Path | None = None,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> RunComparison:
    """Test whether the accuracies of evaluated runs differ significantly.

    With several labels per image, the shares of the images whose labels are all correct (exact match) are compared.

    Args:
        runs: two or more runs or their paths, evaluated on the same images.
        out: HTML file to write, with the images where the runs disagree; by default none is written.
        dataset: the dataset of the runs, if it is not at its recorded source: a moved folder, or the arrays that
            they were trained on.
        data_dir: the folder with CIFAR-10; by default, the one used in training.
        progress: receives the progress of loading the dataset; by default shown in a terminal or notebook.

    Raises:
        InputError: there are fewer than two runs, or they were not evaluated on the same images.
        RunError: a run was not evaluated, or one of its files is damaged.
    """
    opened = [open_run(run) for run in runs]

    from tinysight.evaluation.significance import compare_runs

    comparison = compare_runs(opened)
    if out is not None:
        from tinysight._util.files import write_text
        from tinysight.reporting.comparison import render_comparison

        images = _run_dataset(opened[0], dataset, data_dir, _shown(progress), needs_all=True)
        only_correct = {name: comparison.only_correct(name) for name in comparison.runs}
        html = render_comparison(
            comparison.runs, comparison.comparisons, only_correct, comparison.predictions, images, comparison.split
        )
        write_text(Path(out), html)
    return comparison


def card(run: RunLike, *, write: bool = True) -> Card:
    """Return the model card of a run, and write it to card.md in the run; missing measurements are marked as such.

    Args:
        run: a run or its path.
        write: whether to write card.md.

    Raises:
        RunError: a file of the run is missing or damaged.
    """
    opened = open_run(run)

    from tinysight.auditing.registry import report_sections
    from tinysight.reporting.card import Card
    from tinysight.runs.artifacts import RunArtifacts

    model_card = Card.from_run(opened, report_sections(opened))
    if write:
        RunArtifacts(opened).write_card(model_card.to_markdown())
    return model_card


def report(
    run: RunLike,
    dataset: DatasetLike | None = None,
    *,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> HtmlPage:
    """Write an HTML report of a run: setup, results, calibration and audit. Notebooks display the returned page.

    Args:
        run: a finished run or its path.
        dataset: the dataset of the run, if it is not at its recorded source: a moved folder, or the arrays that it was
            trained on.
        out: HTML file to write; by default report.html in the run.
        data_dir: the folder with CIFAR-10; by default, the one used in training.
        progress: receives the progress of loading the dataset; by default shown in a terminal or notebook.

    Raises:
        RunError: a file of the run is missing or damaged.
        DataError: the images of the run have changed.
    """
    opened = open_run(run)

    from tinysight._util.files import write_text
    from tinysight.auditing.registry import report_sections
    from tinysight.reporting.report import render_report
    from tinysight.runs.artifacts import RunArtifacts

    page = render_report(opened, _run_dataset(opened, dataset, data_dir, _shown(progress)), report_sections(opened))
    if out is None:
        RunArtifacts(opened).write_report(page)
    else:
        write_text(Path(out), page)
    return page


def forget(
    run: RunLike,
    ids: Sequence[str],
    *,
    out: str | Path | None = None,
    resume: bool = False,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Retrain a run from scratch without some images, and write a record of the removal (exact unlearning).

    Args:
        run: the run to retrain, or its path; it is not changed.
        ids: IDs of training or validation images, such as "train/17".
        out: the new run directory; by default RUN-forgotten.
        resume: continue an interrupted retraining in `out`.
        dataset: the dataset of the run, if it is not at its recorded source: a moved folder, or the arrays that it was
            trained on.
        data_dir: the folder with CIFAR-10; by default, the one used in training.
        progress: receives the progress; by default shown in a terminal or notebook.

    Returns:
        The new run.

    Raises:
        DataError: an ID is not that of a training or validation image, or the images of the run have changed.
        RunError: `out` is in use, or with `resume` holds no such retraining.
        TrainingError: as for `train`.
    """
    opened = open_run(run)

    from tinysight.auditing.unlearning import forget as retrain_without
    from tinysight.runs.run import Run

    path = opened.path.with_name(f"{opened.path.name}-forgotten") if out is None else Path(out)
    progress = _shown(progress)
    images = _run_dataset(opened, dataset, data_dir, progress, needs_all=True)
    retrain_without(opened, ids, path, _path(data_dir), resume, progress, images)
    return Run(path, opened.network)


def add_images(
    run: RunLike,
    label: str,
    images: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    group: str | None = None,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Add images of a new or known class to a probe, and train its last layer again.

    This takes seconds, since the features of all other images are cached. The result equals that of training the recipe
    from scratch on the table dataset.csv in the new run. Images of the run keep their split. Of the new images,
    training, validation and test get the shares that they have in the run. Copies of images of the run are skipped.

    Args:
        run: a run of the recipe "probe", or of "auto" if it chose a probe; it is not changed.
        label: the class of the images; if images may have several labels, all of them with "|" between them.
        images: files, folders (searched recursively) or globs. The new run refers to these files.
        out: the new run directory; by default runs/RECIPE-1, -2, ...
        group: the groups of the new images, as in `train`; needed if the run keeps groups in one split.
        dataset: the dataset of the run, if it is not at its recorded source.
        data_dir: the folder with CIFAR-10; by default, the one used in training.
        skip_unreadable: skip unreadable images instead of raising an error.
        progress: receives the progress; by default shown in a terminal or notebook.

    Returns:
        The new run. Its file change.json holds the number of images, and the validation scores before and after.

    Raises:
        RunError: the run is no probe, or `out` exists.
        DataError: images are unreadable, or in the run with another label; there are no new ones, or fewer than three
            of a new class; or the images of the run have changed.
        TrainingError: as for `train`.
    """
    from tinysight.training.change import add

    progress = _shown(progress)
    opened, table = _open_table(run, dataset, data_dir, progress)
    edit = add(opened, table, label, _names(images), group, skip_unreadable, progress)
    return _train_changed(edit, out, progress)


def remove_images(
    run: RunLike,
    images: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Remove images from the dataset of a probe, and train its last layer again; see `add_images`.

    A class without any images left is removed. `forget` also removes images, from any run, and writes a record for the
    person who asked for it.

    Args:
        run: as for `add_images`.
        images: IDs of images, CSV files of IDs, or files, folders or globs. Files with the content of an image of the
            run stand for that image.
        out: the new run directory; by default runs/RECIPE-1, -2, ...
        dataset: as for `add_images`.
        data_dir: as for `add_images`.
        progress: receives the progress; by default shown in a terminal or notebook.

    Raises:
        RunError, TrainingError: as for `add_images`.
        DataError: an image is none of the run's, or too few would be left.
    """
    from tinysight.training.change import remove

    progress = _shown(progress)
    opened, table = _open_table(run, dataset, data_dir, progress)
    return _train_changed(remove(opened, table, _names(images), progress), out, progress)


def relabel_images(
    run: RunLike,
    label: str,
    images: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Correct the label of images of a probe, and train its last layer again; see `add_images`.

    Args:
        run: as for `add_images`.
        label: the right class, one that the run has; if images may have several labels, all of them with "|" between.
        images: as for `remove_images`.
        out: the new run directory; by default runs/RECIPE-1, -2, ...
        dataset: as for `add_images`.
        data_dir: as for `add_images`.
        progress: receives the progress; by default shown in a terminal or notebook.

    Raises:
        RunError, TrainingError: as for `add_images`.
        DataError: an image or the class is none of the run's, or a class would have no training images left.
    """
    from tinysight.training.change import relabel

    progress = _shown(progress)
    opened, table = _open_table(run, dataset, data_dir, progress)
    return _train_changed(relabel(opened, table, label, _names(images), progress), out, progress)


def export(
    run: RunLike,
    to: str,
    path: str | Path | None = None,
    *,
    tta: bool = False,
    int8: bool = False,
    dataset: DatasetLike | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Export the classifier of a run.

    Args:
        run: a run or its path.
        to: "onnx" writes a single file, "keras" a folder.
        path: the file or folder to write; by default RUN.onnx or RUN-keras.
        tta: export test-time augmentation too; ONNX only.
        int8: quantize to 8-bit integers, with training images of the run; ONNX only. The metadata of the file state the
            accuracy on the validation images, in floating point and as 8-bit integers, or the mean average precision if
            images may have several labels.
        dataset: with `int8`, the images that the run was trained on; by default loaded again from their source.
        data_dir: the folder with CIFAR-10; by default, the one used in training.
        progress: receives the progress of loading the dataset; by default shown in a terminal or notebook.

    Returns:
        The path.

    Raises:
        InputError: there is no such format, it lacks an option, or its packages are not installed.
        DataError: with `int8`, the images are not those that the run was trained on.
        ModelError: the format cannot hold this network.
        StorageError: the path already exists or cannot be written.
    """
    from tinysight.interop.exporters import ExportOptions, get_exporter

    opened, exporter = open_run(run), get_exporter(to)
    target = exporter.default_path(opened.path) if path is None else Path(path)
    classifier = opened.classifier()
    exporter.check(target, tta=tta, int8=int8)
    images = _int8_images(opened, dataset, data_dir, _shown(progress)) if int8 else None
    exporter.export(classifier, target, ExportOptions(tta, images))
    return target


def import_keras(
    model: str | Path,
    weights: str | Path | None = None,
    dataset: str | Path | None = None,
    *,
    class_names: Sequence[str] = (),
    pixels: str | None = None,
    logits: bool = False,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Import a saved Keras model as a run, for `evaluate`, `predict`, `audit` and the other functions.

    The description of the run's recipe states the pixel values and the outputs that were assumed.

    Args:
        model: a .keras file, a whole-model .h5 file, or the architecture as a JSON file.
        weights: the weights as an HDF5 file, if `model` is an architecture.
        dataset: the images that the model was presumably trained on. Without them, the functions that need images ask
            for them.
        class_names: the class names, in the order of the outputs. By default those of the dataset, or without one
            "class 0", "class 1" and so on.
        pixels: the pixel values that the network was trained on: "0..1", "0..255", "-1..1", or "MEAN,STD", which are
            subtracted from and divide pixels of 0..255. By default "0..255" if its first layer scales them, or else
            "0..1". With a dataset, a notice says if a different scaling fits its training images far better.
        logits: read the outputs as logits, whatever the last activation is.
        out: the run directory to create; by default runs/MODEL.
        data_dir: the folder with CIFAR-10; by default the usual places are searched.
        progress: receives the progress of loading the dataset; by default shown in a terminal or notebook.

    Raises:
        ModelError: the model cannot be read.
        InputError: the class names are repeated, or their number differs from the number of outputs; or `pixels` is no
            scaling.
        DataError: the dataset does not exist, or has other classes.
        RunError: `out` already exists.
    """
    from tinysight.data.labels import require_multi_class
    from tinysight.data.load import resolve_source
    from tinysight.interop.keras.files import KerasFiles
    from tinysight.interop.keras.importer import import_model
    from tinysight.interop.keras.pixels import parse_pixels
    from tinysight.runs.run import Run

    model, progress = Path(model), _shown(progress)
    path = Path("runs", model.stem) if out is None else Path(out)
    Run.check_available(path)
    if pixels is not None:
        parse_pixels(pixels)  # before loading the images
    if len(set(class_names)) < len(class_names):
        raise InputError(f"class_names: {', '.join(class_names)} are repeated. Give each class a different name.")
    files = KerasFiles.open(model, _path(weights), logits)
    if dataset is None:
        return import_model(files, path, class_names=class_names, pixels=pixels)
    source = resolve_source(dataset)
    loaded = _load(source, files.architecture.image_size, data_dir, False, progress)
    require_multi_class(loaded.task, "Import", "Pass images with one label each, or none.")
    return import_model(files, path, loaded, source, class_names, pixels, progress)


def preview(
    recipe: str | Path | Recipe,
    dataset: DatasetLike = "cifar10",
    *,
    out: str | Path | None = None,
    images: int = 6,
    copies: int = 5,
    files: str | Path | None = None,
    seed: int = 0,
    overrides: Sequence[str] = (),
    data_dir: str | Path | None = None,
    skip_unreadable: bool = False,
    progress: Progress | None = None,
) -> Image.Image:
    """Return a grid of augmented training images.

    Args:
        recipe: name of a built-in recipe, path of a TOML file, or a `Recipe`.
        dataset: "cifar10", "shapes", a folder with one subfolder per class, a `Dataset`, or a pair (images, labels).
        out: image file to write; by default none is written.
        images: number of training images.
        copies: augmented copies of each image.
        files: folder in which to save the augmented copies as JPEG files; by default they are not saved.
        seed: seed of the random augmentation.
        overrides: recipe overrides, each of the form "section.key=value".
        data_dir: the folder with CIFAR-10; by default the usual places are searched.
        skip_unreadable: skip unreadable images of a folder instead of raising an error.
        progress: receives the progress; by default shown in a terminal or notebook.
    """
    progress = _shown(progress)
    resolved = _recipe(recipe, overrides, None, None, dataset)  # before the slow import of torch

    from tinysight.augmentation.preview import render_preview, save_augmented_images
    from tinysight.data.display import save_png
    from tinysight.data.labels import describe_label

    loaded = _load(dataset, resolved.data.image_size, data_dir, skip_unreadable, progress)
    _note_all(loaded.notes, progress)
    pixels = loaded.train.pixels[:images]
    names = [describe_label(label, loaded.class_names) for label in loaded.train.labels[:images]]
    grid = render_preview(pixels, names, resolved.augmentation, copies, seed)
    if out is not None:
        save_png(grid, Path(out))
    if files is not None:
        save_augmented_images(pixels, resolved.augmentation, Path(files), copies, seed, progress)
    return grid


def summary(source: RunLike | Recipe, num_classes: int = 10) -> list[LayerRow]:
    """Return the layers, output shapes and parameter counts of a network.

    Args:
        source: a run or its path, or a recipe: its name, path or a `Recipe`.
        num_classes: number of classes; only for a recipe.

    >>> sum(row.parameters for row in summary("simple", num_classes=10))
    4200842
    """
    from tinysight.recipes.schema import Recipe

    if isinstance(source, Recipe) or (isinstance(source, str | Path) and not Path(source).is_dir()):
        recipe = _recipe(source, (), None, None)  # before the slow import of torch

        from tinysight.models.registry import build_network

        network, size = build_network(recipe.model, num_classes, recipe.data.image_size), recipe.data.image_size
    else:
        classifier = open_run(source).classifier()
        network, size = classifier.network, classifier.image_size

    from tinysight.models.summary import layer_table

    return layer_table(network, size)


def open_run(run: RunLike) -> Run:
    """Return the run, opened if `run` is a path. Raises RunError if there is none."""
    from tinysight.runs.run import Run

    return run if isinstance(run, Run) else Run.open(run)


def open_model(run: RunLike) -> ModelSource:
    """Return the run, or the ONNX file if `run` is a path that ends in .onnx."""
    if isinstance(run, str | Path) and Path(run).suffix == _ONNX_SUFFIX:
        from tinysight.interop.onnx.runtime import OnnxFile

        return OnnxFile(Path(run))
    return open_run(run)


def _start_from(run: Run, recipe: Recipe) -> tuple[Recipe, InitialWeights]:
    """Return the recipe with the network and the image size of `run`, and the weights of `run`."""
    from tinysight.models.transfer import InitialWeights

    classifier, own = run.classifier(), run.recipe()
    data = {"image_size": own.data.image_size, "normalization": own.data.normalization}
    changed = _changed(recipe, f"Recipe {recipe.name} with the network of {run.path}", data, own.model)
    note = f"Training started from the weights of {run.path.name}, which was trained on {run.summary().dataset}."
    return changed, InitialWeights(classifier.network.state_dict(), classifier.class_names, note)


def _shown(progress: Progress | None) -> Progress:
    """Return `progress`, or by default the console's in a terminal or notebook."""
    if progress is not None:
        return progress
    return console.progress if console.is_interactive() else SILENT


def _note_all(notes: Sequence[str], progress: Progress) -> None:
    for note in notes:
        progress.note(note)


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)


def next_run(stem: str) -> Path:
    """Return runs/STEM-N with the first N, from 1, that does not exist."""
    number = 1
    while Path("runs", f"{stem}-{number}").exists():
        number += 1
    return Path("runs", f"{stem}-{number}")


def _recipe(
    recipe: str | Path | Recipe,
    overrides: Sequence[str],
    epochs: int | None,
    minutes: float | None,
    dataset: DatasetLike | None = None,
    from_run: RunLike | None = None,
) -> Recipe:
    """Return the recipe with its overrides, and with the network of its backbone if it has one.

    `from_run` is the backbone of a method that needs one.
    """
    from tinysight.recipes import loading
    from tinysight.recipes.schema import Recipe

    if not isinstance(recipe, Recipe):
        resolved = loading.load_with_overrides(str(recipe), list(overrides), epochs, minutes)
    elif overrides or epochs is not None or minutes is not None:
        raise InputError("recipe: a Recipe takes no overrides, epochs or minutes. Set them in the recipe.")
    else:
        resolved = recipe
    if resolved.model.backbone is None:
        return resolved
    if from_run is not None:
        model = resolved.model.model_copy(update={"backbone": str(open_run(from_run).path)})
        resolved = resolved.model_copy(update={"model": model})

    from tinysight.data.dataset import Dataset
    from tinysight.data.load import find_source
    from tinysight.training.backbone import with_backbone

    if isinstance(dataset, Dataset):
        return with_backbone(resolved, dataset.image_size[0])
    return with_backbone(resolved, None if dataset is None else find_source(dataset).fixed_size)


def _with_data(recipe: Recipe, group: str | None, near_duplicates: str | None) -> Recipe:
    """Return the recipe with `data.group` and `data.near_duplicates`, where they are given."""
    given = {"group": group, "near_duplicates": near_duplicates}
    data = {key: value for key, value in given.items() if value is not None}
    return _changed(recipe, recipe.name, data) if data else recipe


def _changed(recipe: Recipe, source: str, data: dict[str, Any], model: ModelSection | None = None) -> Recipe:
    """Return the recipe with these values of its data section, and another network. Errors start with `source`."""
    from tinysight.recipes.loading import validate_recipe

    values = recipe.model_dump(exclude_unset=True)
    values["data"] = values.get("data", {}) | data
    if model is not None:
        values["model"] = model.model_dump(exclude_none=True)
    return validate_recipe(values, source)


def _load(
    dataset: DatasetLike,
    image_size: int,
    data_dir: str | Path | None,
    skip_unreadable: bool,
    progress: Progress,
    needs_splits: bool = True,
) -> Dataset:
    from tinysight.data.load import load

    return load(dataset, image_size, data_dir, skip_unreadable, progress, needs_splits)


def _run_dataset(
    run: Run, dataset: DatasetLike | None, data_dir: str | Path | None, progress: Progress, needs_all: bool = False
) -> Dataset:
    """Return the images that the run was trained on, in `dataset`, or by default loaded again from their source.

    Some may be missing, unless `needs_all`.
    """
    from tinysight.runs.run_dataset import open_complete_dataset, open_dataset

    given = None if dataset is None else _given_dataset(run, dataset, data_dir, progress)
    open_images = open_complete_dataset if needs_all else open_dataset
    return open_images(run, given, _path(data_dir), progress)


def _int8_images(run: Run, dataset: DatasetLike | None, data_dir: str | Path | None, progress: Progress) -> Int8Images:
    """Return training images to calibrate a quantized network on, evenly spaced, and the validation images."""
    from tinysight.data.pixels import take
    from tinysight.data.splits import split_dataset
    from tinysight.interop.exporters import N_CALIBRATION, Int8Images

    images = _run_dataset(run, dataset, data_dir, progress)
    split = split_dataset(images, run.recipe().data, run.environment().seed)
    step = -(-len(split.train_indices) // N_CALIBRATION)
    return Int8Images(take(split.train.pixels, split.train_indices[::step]), split.validation)


def _open_table(
    run: RunLike, dataset: DatasetLike | None, data_dir: str | Path | None, progress: Progress
) -> tuple[Run, ImageTable]:
    """Return a run and its images, to be changed. Raises RunError if the run is no probe, before images are loaded."""
    from tinysight.training.change import check_changeable, open_table

    opened = open_run(run)
    check_changeable(opened)
    return opened, open_table(opened, _run_dataset(opened, dataset, data_dir, progress, needs_all=True))


def _names(images: str | Path | Sequence[str | Path]) -> list[str]:
    return [str(image) for image in ([images] if isinstance(images, str | Path) else images)]


def _train_changed(edit: Edit, out: str | Path | None, progress: Progress) -> Run:
    from tinysight.runs.run import Run
    from tinysight.training.change import train_changed

    path = next_run(edit.run.recipe().name) if out is None else Path(out)
    train_changed(edit, path, progress)
    return Run(path, edit.run.network)


def _given_dataset(run: Run, dataset: DatasetLike, data_dir: str | Path | None, progress: Progress) -> Dataset:
    """Load a dataset at the image size of the run.

    `ImageClassifier` trains on all images of (X, y); `train` keeps some of them for testing.
    """
    from tinysight.data.sources.arrays import dataset_from_arrays
    from tinysight.runs.run_dataset import arranged_as, is_dataset_of

    image_size = run.recipe().data.image_size
    if isinstance(dataset, tuple):
        images, labels = dataset
        whole = dataset_from_arrays(images, labels, image_size, needs_splits=False)
        if is_dataset_of(run, whole):
            return whole
    return arranged_as(run, _load(dataset, image_size, data_dir, True, progress, needs_splits=False))
