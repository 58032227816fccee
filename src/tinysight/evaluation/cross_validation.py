"""Cross-validation: one run per fold, and metrics of the pooled predictions for images that a run did not train on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tinysight._util.errors import DataError, TrainingError
from tinysight._util.files import write_text
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import IN_MEMORY, Dataset, Split
from tinysight.data.image_ids import image_ids, to_csv
from tinysight.data.labels import SEPARATOR, Labels, count_labels, has_label, label_names
from tinysight.data.splits import Indices, join, stratified_folds, subset
from tinysight.evaluation.confidence_intervals import (
    balanced_interval,
    label_intervals,
    mean_average_precision_interval,
    wilson_interval,
)
from tinysight.evaluation.evaluate import evaluate
from tinysight.models.scores import (
    average_precisions,
    balanced_accuracy,
    is_correct,
    label_f1,
    mean_average_precision,
)
from tinysight.recipes.schema import DataSection, Recipe
from tinysight.runs.records import Finite, FrozenModel, Interval, MajorityBaseline, Record, read_record, write_record
from tinysight.runs.run import Run

MAX_FOLDS = 50
METHOD = (
    "95% intervals: for the accuracy, the Wilson score on the pooled predictions of all folds; for the balanced "
    "accuracy, the Wilson scores of the classes, combined by square-and-add. They do not include the variation between "
    "training runs."
)
LABEL_METHOD = (
    "95% intervals: for the exact match, the Wilson score on the pooled predictions of all folds; for the mean average "
    "precision, the Wilson scores of the labels, combined with correlations from bootstrap samples; for the macro F1, "
    "the Wilson scores of the labels as if all labels err together. They do not include the variation between training "
    "runs."
)
_GROUPED = " They are too narrow, because the images of a group are not independent."


class FoldResult(FrozenModel):
    """One fold: the directory of its run, its number of images, and the accuracy on them."""

    run: str
    n: int = Field(ge=1)
    accuracy: Finite


class LabelFoldResult(FrozenModel):
    """One fold of images that may have several labels: its run, its number of images, and the measures on them.

    The mean average precision is None if no image has a label.
    """

    run: str
    n: int = Field(ge=1)
    mean_average_precision: Finite | None
    exact_match: Finite


class _PooledRecord(Record):
    """What cv.json has for every task."""

    recipe: str
    dataset: str
    seed: int
    n: int = Field(ge=1)
    method: str
    class_names: tuple[str, ...]
    grouped: bool
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Return the record in a folder that `cross_validate` wrote. Raises RunError if it is missing or modified."""
        return read_record(cls, Path(folder) / "cv.json")


class CrossValidation(_PooledRecord):
    """cv.json: the pooled out-of-fold results of a cross-validation.

    Attributes:
        recipe, dataset: their names.
        seed: seed of the folds and of the runs.
        n: number of images; each was predicted by the run that was not trained on its fold.
        accuracy, accuracy_ci95: fraction of them predicted correctly, with its interval.
        balanced_accuracy, balanced_accuracy_ci95: mean recall of the classes, with its interval.
        method: how the intervals were computed.
        class_names: the classes in the order of the confusion matrix.
        confusion_matrix: number of images by true class (row) and predicted class (column).
        grouped: whether groups were kept in one fold.
        folds: the folds in order.
        notes: caveats of the dataset.
    """

    accuracy: Finite
    accuracy_ci95: Interval
    balanced_accuracy: Finite
    balanced_accuracy_ci95: Interval
    confusion_matrix: tuple[tuple[int, ...], ...]
    folds: tuple[FoldResult, ...]

    @property
    def majority(self) -> MajorityBaseline:
        """The accuracy of always predicting the class with the most images."""
        return MajorityBaseline.from_support([sum(row) for row in self.confusion_matrix], self.class_names)


class MultiLabelCrossValidation(_PooledRecord):
    """cv.json of images that may have several labels.

    Attributes:
        task: "multi-label".
        recipe, dataset, seed, n, method, class_names, grouped, folds, notes: as in `CrossValidation`.
        mean_average_precision, mean_average_precision_ci95: mean average precision (mAP) of the pooled probabilities,
            with its interval.
        macro_f1, macro_f1_ci95: mean F1 of the labels, at the thresholds of the run of each fold, with its interval.
        exact_match, exact_match_ci95: share of the images whose labels are all correct, with its interval.
        average_precision, f1: by label.
    """

    task: Literal["multi-label"] = "multi-label"
    mean_average_precision: Finite
    mean_average_precision_ci95: Interval
    macro_f1: Finite
    macro_f1_ci95: Interval
    exact_match: Finite
    exact_match_ci95: Interval
    average_precision: dict[str, Finite]
    f1: dict[str, Finite]
    folds: tuple[LabelFoldResult, ...]


AnyCrossValidation = CrossValidation | MultiLabelCrossValidation


@dataclass(frozen=True)
class _OutOfFold:
    """The images of all folds with their predictions, in order.

    Attributes:
        images: the images.
        fold_of: int64, (n,), the fold of each image, from 1.
        probabilities: float32, (n, classes).
        predicted: the predicted classes, int64 (n,), or labels, (n, labels).
    """

    images: Split
    fold_of: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    predicted: Labels


def cross_validate(
    dataset: Dataset,
    recipe: Recipe,
    folds: int,
    seed: int,
    out: Path,
    train_fold: Callable[[Recipe, Dataset, Path], object],
    progress: Progress = SILENT,
) -> AnyCrossValidation:
    """Train one run per fold; write cv.json and out_of_fold.csv beside the runs.

    The folds divide the training images, and the test images if they were drawn at random. A test split that the user
    made is left alone.

    Args:
        dataset: the images, with their groups.
        recipe: the recipe of every run; its groups are already those of the dataset.
        folds: number of folds, at least 2.
        seed: seed of the folds.
        out: the folder to create.
        train_fold: trains a recipe on a dataset into a run directory. The test images of the dataset are the fold.
        progress: receives a note per fold.

    Raises:
        DataError: a class has too few images or groups.
        RunError: `out` exists.
        TrainingError: a run was interrupted.
    """
    if recipe.data.split == "time":
        raise DataError("folds: mix older and newer images, but the split is by time. Remove one of them.")
    pool = _pool(dataset)
    parts = fold_indices(pool, folds, seed, dataset.class_names)
    Run.check_available(out)
    fold_recipe = recipe.model_copy(update={"data": _without_groups(recipe)})
    pooled = _OutOfFold(
        pool,
        np.zeros(len(pool), dtype=np.int64),
        np.zeros((len(pool), len(dataset.class_names)), dtype=np.float32),
        np.zeros_like(pool.labels),
    )
    paths = []
    for number, held_out in enumerate(parts, 1):
        path = out / f"fold-{number}"
        kept = np.setdiff1d(np.arange(len(pool)), held_out)
        fold_data = replace(
            dataset,
            train=subset(pool, kept),
            test=subset(pool, held_out),
            argument=IN_MEMORY,
            has_drawn_test=False,
            notes=(*dataset.notes, f"Fold {number} of {folds}: the test images are those of the fold."),
        )
        progress.note(f"fold {number}/{folds}: {len(kept):,} images to train and validate, {len(held_out):,} to test")
        train_fold(fold_recipe, fold_data, path)
        run = Run(path)
        if run.summary().status == "interrupted":
            raise TrainingError(f"{path}: interrupted, so {out} is not complete. Remove it and start again.")
        evaluate(run, fold_data)
        pooled.fold_of[held_out] = number
        pooled.probabilities[held_out], pooled.predicted[held_out] = run.predictions()[0], run.predicted_labels()
        paths.append(path.name)
    common = {
        "recipe": recipe.name,
        "dataset": dataset.name,
        "seed": seed,
        "n": len(pool),
        "class_names": dataset.class_names,
        "grouped": bool(pool.groups),
        "notes": dataset.notes,
    }
    measure = _measure_labels if dataset.task == "multi-label" else _measure_classes
    record = measure(pooled, paths, common)
    write_text(out / "out_of_fold.csv", _to_csv(pooled, dataset))
    write_record(record, out / "cv.json")
    return record


def fold_indices(images: Split, folds: int, seed: int, class_names: tuple[str, ...]) -> list[Indices]:
    """Return the images of each fold: sorted indices. Folds are stratified by class, and groups stay whole.

    Raises:
        DataError: there are fewer than 2 or more than MAX_FOLDS folds, or a class has too few images or groups.
    """
    if not 2 <= folds <= MAX_FOLDS:
        raise DataError(f"{folds} folds: out of range. Choose 2 to {MAX_FOLDS}.")
    unit, groups = ("group", images.groups) if images.groups else ("image", tuple(map(str, range(len(images)))))
    for label, name in enumerate(class_names):
        members = {groups[index] for index in np.flatnonzero(has_label(images.labels, label))}
        if len(members) < folds:
            units = f"1 {unit}" if len(members) == 1 else f"{len(members)} {unit}s"
            raise DataError(f"Class {name}: {units}, but {folds} folds need {folds}. Choose fewer folds.")
    parts = _stratify(images, groups, folds, seed)
    for held_out in parts:
        counts = count_labels(np.delete(images.labels, held_out, axis=0), len(class_names))
        if not len(held_out) or min(counts) < 2:
            raise DataError(f"{folds} folds: the groups are too large for this. Choose a different number of folds.")
    return parts


def _stratify(images: Split, groups: Sequence[str], folds: int, seed: int) -> list[Indices]:
    """Return the images of each fold. scikit-learn's folds are of one class per image."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if images.labels.ndim == 2:
        return stratified_folds(images.labels, groups, folds, seed)
    kind = StratifiedGroupKFold if images.groups else StratifiedKFold
    splitter = kind(folds, shuffle=True, random_state=seed % 2**32)
    return [held_out for _, held_out in splitter.split(images.labels, images.labels, images.groups or None)]


def _pool(dataset: Dataset) -> Split:
    if not dataset.has_drawn_test:
        return dataset.train
    return join(dataset.train, dataset.test)


def _pool_ids(dataset: Dataset) -> tuple[str, ...]:
    train = image_ids(dataset.train, "train")
    return (*train, *image_ids(dataset.test, "test")) if dataset.has_drawn_test else train


def _without_groups(recipe: Recipe) -> DataSection:
    """Return the recipe's data section without the groups, which the dataset of the fold already has."""
    together = recipe.data.near_duplicates == "keep-together"
    update = {"group": None, **({"near_duplicates": "ignore"} if together else {})}
    return recipe.data.model_copy(update=update)


def _measure_classes(pooled: _OutOfFold, runs: Sequence[str], common: dict[str, Any]) -> CrossValidation:
    from sklearn.metrics import confusion_matrix

    labels, predicted = pooled.images.labels, pooled.predicted
    confusion = confusion_matrix(labels, predicted, labels=range(len(common["class_names"])))
    correct = is_correct(predicted, labels)
    folds = {run: correct[pooled.fold_of == number] for number, run in enumerate(runs, 1)}
    return CrossValidation(
        **common,
        accuracy=float(correct.mean()),
        accuracy_ci95=wilson_interval(int(correct.sum()), len(labels)),
        balanced_accuracy=balanced_accuracy(labels, predicted),
        balanced_accuracy_ci95=balanced_interval(confusion.diagonal(), confusion.sum(1)),
        method=METHOD + _GROUPED * common["grouped"],
        confusion_matrix=tuple(tuple(row) for row in confusion.tolist()),
        folds=tuple(FoldResult(run=run, n=len(part), accuracy=float(part.mean())) for run, part in folds.items()),
    )


def _measure_labels(pooled: _OutOfFold, runs: Sequence[str], common: dict[str, Any]) -> MultiLabelCrossValidation:
    labels, names = pooled.images.labels, common["class_names"]
    correct, f1 = is_correct(pooled.predicted, labels), label_f1(labels, pooled.predicted)
    precisions = average_precisions(labels, pooled.probabilities)  # of all labels: every fold has images with each
    return MultiLabelCrossValidation(
        **common,
        mean_average_precision=float(precisions.mean()),
        mean_average_precision_ci95=mean_average_precision_interval(labels, pooled.probabilities),
        macro_f1=float(f1.mean()),
        macro_f1_ci95=label_intervals(pooled.predicted.astype(bool), labels, names).macro.f1,
        exact_match=float(correct.mean()),
        exact_match_ci95=wilson_interval(int(correct.sum()), len(labels)),
        method=LABEL_METHOD + _GROUPED * common["grouped"],
        average_precision=dict(zip(names, precisions.tolist(), strict=True)),
        f1=dict(zip(names, f1.tolist(), strict=True)),
        folds=tuple(_label_fold(pooled, correct, number, run) for number, run in enumerate(runs, 1)),
    )


def _label_fold(pooled: _OutOfFold, correct: NDArray[np.bool_], number: int, run: str) -> LabelFoldResult:
    part = pooled.fold_of == number
    precisions = average_precisions(pooled.images.labels[part], pooled.probabilities[part])
    return LabelFoldResult(
        run=run,
        n=int(part.sum()),
        mean_average_precision=mean_average_precision(precisions),
        exact_match=float(correct[part].mean()),
    )


def _to_csv(pooled: _OutOfFold, dataset: Dataset) -> str:
    """Return the true and the predicted class of each image, or its labels, and its fold, as CSV text."""

    def names_of(labels: Labels) -> list[str]:
        return [SEPARATOR.join(label_names(label, dataset.class_names)) for label in labels]

    true = "labels" if dataset.task == "multi-label" else "label"
    columns = {true: names_of(pooled.images.labels), "predicted": names_of(pooled.predicted)}
    return to_csv(_pool_ids(dataset), **columns, fold=pooled.fold_of.tolist())
