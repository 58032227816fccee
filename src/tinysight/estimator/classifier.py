"""ImageClassifier: a scikit-learn estimator for small color images."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags, assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from tinysight.data.dataset import Dataset, Part, Pixels
from tinysight.data.intake import looks_for, to_looks, to_pixels
from tinysight.data.load import IN_MEMORY
from tinysight.estimator.answers import Answers
from tinysight.files import storage_errors
from tinysight.models.classifier import Classifier
from tinysight.models.looks import over_looks
from tinysight.progress import SILENT, Progress
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.screen import console
from tinysight.training import device as devices
from tinysight.training import planning
from tinysight.training.precision import Asked
from tinysight.training.settling import settle
from tinysight.training.train import Plan, train


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Image classifier with the scikit-learn interface.

    Images are uint8 arrays of 0..255, (n, height, width, 3) or (n, 3, height, width), or lists of paths, arrays or
    Pillow images. Images of another size are resized to fit the shorter side and center-cropped. If the classifier was
    trained on an array of its input size, predictions for larger images also average over closer crops.

    Args:
        recipe: name of a built-in recipe (`tinysight recipes list`) or path of a TOML file.
        minutes: time budget for training. "fast" requires it; other recipes use their number of epochs by default.
        epochs: number of epochs, instead of `minutes`.
        changes: recipe overrides, each of the form "section.key=value".
        tta: whether to average predictions over several views of an image; slower and slightly more accurate.
        precision: "auto", "fp32" or "bf16".
        device: "auto", "cpu" or "cuda".
        random_state: seed. With a fixed number of epochs, equal seeds give equal weights.
        verbose: whether to show training progress. None shows it in a terminal or a notebook only.

    Attributes:
        classes_: the class labels, sorted.
        n_features_in_: number of values per image, 3 * image_size ** 2.
        run_: the training run, in a temporary directory until `save`.

    Example:
        >>> classifier = ImageClassifier("early-stopping", epochs=1)
        >>> classifier.fit(images, ["cat", "dog"] * 20).predict(images[:2]).shape  # doctest: +SKIP
        (2,)
    """

    def __init__(
        self,
        recipe: str = "fast",
        minutes: float | None = None,
        epochs: int | None = None,
        changes: Sequence[str] = (),
        tta: bool = False,
        precision: Asked = "auto",
        device: devices.Asked = "auto",
        random_state: int = 0,
        verbose: bool | None = None,
    ) -> None:
        self.recipe = recipe
        self.minutes = minutes
        self.epochs = epochs
        self.changes = changes
        self.tta = tta
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: ArrayLike) -> Self:  # noqa: N803  (scikit-learn's names)
        """Train on images and their labels.

        Args:
            X: images, as described for the class.
            y: labels, (n,), of at least two classes.

        Raises:
            InputError: `X` does not contain images.
            ValueError: the number of labels differs from the number of images, or there are fewer than two classes.
            RecipeError: the recipe is invalid.
            TrainingError: training failed.
        """
        begun, progress = time.perf_counter(), self._progress()
        recipe = loading.changed(self.recipe, list(self.changes), self.epochs, self.minutes)
        planning.require_time(recipe)
        device = devices.choose(self.device)
        dataset, classes = _dataset(X, y, recipe.data.image_size)
        recipe, precision = settle(recipe, dataset, begun, self.precision, device, progress)
        plan = Plan(recipe, dataset, IN_MEMORY, self.random_state, precision, device=device, begun=begun)
        run = _temporary_run()
        train(plan, run.path, progress=progress)
        self._set_fitted(run, run.classifier(), classes)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return probabilities (n, classes), in the order of `classes_`."""
        classifier = self._require_fitted()
        return self._crop_probabilities(to_looks(X, classifier.image_size, classifier.looks))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the most probable class of each image, (n,)."""
        probabilities = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return labels

    def answers(self, X: Any) -> Answers:  # noqa: N803
        """Return the predictions with probabilities and abstentions; notebooks display them with the images."""
        classifier = self._require_fitted()
        crops = to_looks(X, classifier.image_size, classifier.looks)
        return Answers(crops[:, 0], self.classes_, self._crop_probabilities(crops), classifier.unsure_below)

    def save(self, path: str | Path) -> Path:
        """Copy the run to `path`, for `load` and for the command line.

        Raises:
            RunError: `path` already exists.
        """
        self._require_fitted()
        target = Path(path)
        Run.require_vacant(target)
        with storage_errors(target):
            shutil.copytree(self.run_.path, target, dirs_exist_ok=True)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Load a classifier from a run directory, written by `save` or by the command line.

        The labels are the class names, as strings.

        Raises:
            RunError: `path` is not a run, or its files were altered.
        """
        run = Run.open(Path(path))
        classifier = run.classifier()
        loaded = cls(recipe=str(run.path / "recipe.toml"), random_state=run.environment().seed)
        loaded._set_fitted(run, classifier, np.array(classifier.class_names))
        return loaded

    def _progress(self) -> Progress:
        return console.progress if self.verbose or (self.verbose is None and console.watched()) else SILENT

    def __sklearn_tags__(self) -> Tags:
        """Declare that the estimator takes images, not tables."""
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    def _set_fitted(self, run: Run, classifier: Classifier, classes: NDArray[Any]) -> None:
        self.run_, self.classifier_, self.classes_ = run, classifier, classes
        self.n_features_in_ = 3 * classifier.image_size**2

    def _crop_probabilities(self, crops: Pixels) -> NDArray[np.float32]:
        return over_looks(partial(self._require_fitted().probabilities, tta=self.tta), crops)

    def _require_fitted(self) -> Classifier:
        if not hasattr(self, "classifier_"):
            raise NotFittedError("ImageClassifier: not fitted yet. Call fit(images, labels) first.")
        classifier: Classifier = self.classifier_
        return classifier

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to pickle a fitted estimator, because loading a pickle can run arbitrary code."""
        if hasattr(self, "classifier_"):
            raise TypeError("ImageClassifier: a fitted one cannot be pickled. Use save(path) and load(path).")
        state: dict[str, Any] = super().__getstate__()
        return state


def _temporary_run() -> Run:
    """Return an unwritten run in a temporary directory that is deleted together with the Run object."""
    directory = tempfile.mkdtemp(prefix="tinysight-")
    run = Run(Path(directory, "run"))
    weakref.finalize(run, shutil.rmtree, directory, ignore_errors=True)
    return run


def _dataset(images: Any, y: ArrayLike, image_size: int) -> tuple[Dataset, NDArray[Any]]:
    """Return a dataset without test images, and the classes in the order of its labels."""
    pixels = to_pixels(images, image_size)
    targets = column_or_1d(y, warn=True)
    check_consistent_length(pixels, targets)
    assert_all_finite(targets, input_name="y")
    check_classification_targets(targets)
    classes, labels = np.unique(targets, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"y: it has the single class {classes.tolist()}. Give at least two classes.")
    empty = Part(pixels[:0], labels[:0].astype(np.int64))
    names = tuple(str(label) for label in classes.tolist())
    train, crops = Part(pixels, labels.astype(np.int64)), looks_for(images, image_size)
    return Dataset("images", train, empty, names, "images in memory", looks=crops), classes
