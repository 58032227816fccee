"""Cross-validation: one run per fold, and metrics of the pooled predictions for images that a run did not train on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tinysight._util.errors import DataError, TrainingError
from tinysight._util.files import write_text
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import IN_MEMORY, Dataset, Split
from tinysight.data.image_ids import image_ids, to_csv
from tinysight.data.splits import Indices, join, subset
from tinysight.evaluation.confidence_intervals import balanced_interval, wilson_interval
from tinysight.evaluation.evaluate import evaluate
from tinysight.models.scores import balanced_accuracy
from tinysight.recipes.schema import DataSection, Recipe
from tinysight.runs.records import Finite, FrozenModel, Interval, MajorityBaseline, Record, read_record, write_record
from tinysight.runs.run import Run

MAX_FOLDS = 50
METHOD = (
    "95% intervals: for the accuracy, the Wilson score on the pooled predictions of all folds; for the balanced "
    "accuracy, the Wilson scores of the classes, combined by square-and-add. They do not include the variation between "
    "training runs."
)
GROUPED_METHOD = f"{METHOD} They are too narrow, because the images of a group are not independent."


class FoldResult(FrozenModel):
    """One fold: the directory of its run, its number of images, and the accuracy on them."""

    run: str
    n: int = Field(ge=1)
    accuracy: Finite


class CrossValidation(Record):
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

    recipe: str
    dataset: str
    seed: int
    n: int = Field(ge=1)
    accuracy: Finite
    accuracy_ci95: Interval
    balanced_accuracy: Finite
    balanced_accuracy_ci95: Interval
    method: str
    class_names: tuple[str, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    grouped: bool
    folds: tuple[FoldResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def majority(self) -> MajorityBaseline:
        """The accuracy of always predicting the class with the most images."""
        return MajorityBaseline.from_support([sum(row) for row in self.confusion_matrix], self.class_names)

    @classmethod
    def open(cls, folder: str | Path) -> CrossValidation:
        """Return the record in a folder that `cross_validate` wrote. Raises RunError if it is missing or modified."""
        return read_record(cls, Path(folder) / "cv.json")


def cross_validate(
    dataset: Dataset,
    recipe: Recipe,
    folds: int,
    seed: int,
    out: Path,
    train_fold: Callable[[Recipe, Dataset, Path], object],
    progress: Progress = SILENT,
) -> CrossValidation:
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
    predicted, results = np.full(len(pool), -1), []
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
        probabilities, _ = run.predictions()
        predicted[held_out] = probabilities.argmax(1)
        is_correct = predicted[held_out] == pool.labels[held_out]
        results.append(FoldResult(run=path.name, n=len(held_out), accuracy=float(is_correct.mean())))
    record = _pooled(dataset, pool, recipe, seed, predicted, tuple(results))
    fold_of = np.empty(len(pool), dtype=np.int64)
    for number, held_out in enumerate(parts, 1):
        fold_of[held_out] = number
    names = np.array(dataset.class_names)
    columns = {"label": names[pool.labels].tolist(), "predicted": names[predicted].tolist(), "fold": fold_of.tolist()}
    write_text(out / "out_of_fold.csv", to_csv(_pool_ids(dataset), **columns))
    write_record(record, out / "cv.json")
    return record


def fold_indices(images: Split, folds: int, seed: int, class_names: tuple[str, ...]) -> list[Indices]:
    """Return the images of each fold: sorted indices. Folds are stratified by class, and groups stay whole.

    Raises:
        DataError: there are fewer than 2 or more than MAX_FOLDS folds, or a class has too few images or groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if not 2 <= folds <= MAX_FOLDS:
        raise DataError(f"{folds} folds: out of range. Choose 2 to {MAX_FOLDS}.")
    unit, groups = ("group", images.groups) if images.groups else ("image", tuple(map(str, range(len(images)))))
    for label, name in enumerate(class_names):
        members = {groups[index] for index in np.flatnonzero(images.labels == label)}
        if len(members) < folds:
            units = f"1 {unit}" if len(members) == 1 else f"{len(members)} {unit}s"
            raise DataError(f"Class {name}: {units}, but {folds} folds need {folds}. Choose fewer folds.")
    kind = StratifiedGroupKFold if images.groups else StratifiedKFold
    splitter = kind(folds, shuffle=True, random_state=seed % 2**32)
    parts: list[Indices] = [
        held_out for _, held_out in splitter.split(images.labels, images.labels, images.groups or None)
    ]
    for held_out in parts:
        counts = np.bincount(np.delete(images.labels, held_out), minlength=len(class_names))
        if not len(held_out) or counts.min() < 2:
            raise DataError(f"{folds} folds: the groups are too large for this. Choose a different number of folds.")
    return parts


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


def _pooled(
    dataset: Dataset,
    pool: Split,
    recipe: Recipe,
    seed: int,
    predicted: NDArray[np.int64],
    folds: tuple[FoldResult, ...],
) -> CrossValidation:
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(pool.labels, predicted, labels=range(len(dataset.class_names)))
    n_correct = int(confusion.trace())
    return CrossValidation(
        recipe=recipe.name,
        dataset=dataset.name,
        seed=seed,
        n=len(pool),
        accuracy=n_correct / len(pool),
        accuracy_ci95=wilson_interval(n_correct, len(pool)),
        balanced_accuracy=balanced_accuracy(pool.labels, predicted),
        balanced_accuracy_ci95=balanced_interval(confusion.diagonal(), confusion.sum(1)),
        method=GROUPED_METHOD if pool.groups else METHOD,
        class_names=dataset.class_names,
        confusion_matrix=tuple(tuple(row) for row in confusion.tolist()),
        grouped=bool(pool.groups),
        folds=folds,
        notes=dataset.notes,
    )
