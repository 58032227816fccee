"""The classifier that Python programs and notebooks use, by the conventions of scikit-learn."""

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
    """Tells the classes of small colour images.

    Images are uint8 arrays, 0..255, (n, height, width, 3) or (n, 3, height, width), or lists of paths, of arrays or of
    Pillow pictures. Those of another size are scaled until the shorter side fits, and cut to the centre. Asked about a
    larger picture, a classifier that learned from an array of the size it takes looks closer at it, too.

    Args:
        recipe: a shipped name (`tinysight recipes list`) or the path of a TOML file.
        minutes: how long to train. "fast" needs it; other recipes count epochs unless it is given.
        epochs: how many epochs to train instead.
        changes: of the recipe, `section.key=value` each, as `--set` takes them.
        tta: whether answers are averaged over several views of an image; slower and a little better.
        precision: "auto", "fp32" or "bf16".
        device: "auto", "cpu" or "cuda".
        random_state: the seed; the same one gives the same weights, where epochs are counted.
        verbose: whether to show how far the training is; None does so where somebody watches, on a terminal or in a
            notebook.

    Attributes:
        classes_: the labels there are, sorted.
        n_features_in_: numbers an image becomes: 3 * image_size ** 2.
        run_: the run that `fit` left, in a temporary folder until `save`.

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

        Raises:
            InputError: these are no images.
            ValueError: there is not a label for each, or there are fewer than two classes.
            RecipeError, TrainingError: as `tinysight train`.
        """
        begun, progress = time.perf_counter(), self._progress()
        recipe = loading.changed(self.recipe, list(self.changes), self.epochs, self.minutes)
        planning.require_time(recipe)
        where = devices.choose(self.device)
        dataset, classes = _dataset(X, y, recipe.data.image_size)
        recipe, numbers = settle(recipe, dataset, begun, self.precision, where, progress)
        plan = Plan(recipe, dataset, IN_MEMORY, self.random_state, numbers, device=where, begun=begun)
        run = _temporary_run()
        train(plan, run.path, progress=progress)
        self._hold(run, run.classifier(), classes)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return probabilities, (n, classes), in the order of `classes_`."""
        classifier = self._fitted()
        return self._asked(to_looks(X, classifier.image_size, classifier.looks))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the likeliest class of each image, (n,)."""
        probabilities = self.predict_proba(X)
        answers: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return answers

    def answers(self, X: Any) -> Answers:  # noqa: N803
        """Return what it says of images, with doubts; a notebook shows them beside the images."""
        classifier = self._fitted()
        looks = to_looks(X, classifier.image_size, classifier.looks)
        return Answers(looks[:, 0], self.classes_, self._asked(looks), classifier.unsure_below)

    def save(self, path: str | Path) -> Path:
        """Keep the run, for `load` and for every command that takes one.

        Raises:
            RunError: something is there already.
        """
        self._fitted()
        target = Path(path)
        Run.require_vacant(target)
        with storage_errors(target):
            shutil.copytree(self.run_.path, target, dirs_exist_ok=True)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return a classifier that was saved, or that a command has trained.

        Its parameters are those of the recipe; classes are told by their names.

        Raises:
            RunError: there is none, or it was altered.
        """
        run = Run.open(Path(path))
        classifier = run.classifier()
        loaded = cls(recipe=str(run.path / "recipe.toml"), random_state=run.environment().seed)
        loaded._hold(run, classifier, np.array(classifier.class_names))
        return loaded

    def _progress(self) -> Progress:
        return console.progress if self.verbose or (self.verbose is None and console.watched()) else SILENT

    def __sklearn_tags__(self) -> Tags:
        """Say that it takes images and no tables."""
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        return tags

    def _hold(self, run: Run, classifier: Classifier, classes: NDArray[Any]) -> None:
        self.run_, self.classifier_, self.classes_ = run, classifier, classes
        self.n_features_in_ = 3 * classifier.image_size**2

    def _asked(self, looks: Pixels) -> NDArray[np.float32]:
        return over_looks(partial(self._fitted().probabilities, tta=self.tta), looks)

    def _fitted(self) -> Classifier:
        if not hasattr(self, "classifier_"):
            raise NotFittedError("This ImageClassifier has learned nothing yet; call fit(images, labels) first.")
        classifier: Classifier = self.classifier_
        return classifier

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to be pickled once it is fitted: a pickle runs whatever code is in it when it is read."""
        if hasattr(self, "classifier_"):
            raise TypeError(
                "A fitted ImageClassifier is not pickled; keep it by save(path), and read it by load(path)."
            )
        state: dict[str, Any] = super().__getstate__()
        return state


def _temporary_run() -> Run:
    """Return a run to be made in a folder that is there as long as somebody holds the run."""
    folder = tempfile.mkdtemp(prefix="tinysight-")
    run = Run(Path(folder, "run"))
    weakref.finalize(run, shutil.rmtree, folder, ignore_errors=True)
    return run


def _dataset(images: Any, y: ArrayLike, image_size: int) -> tuple[Dataset, NDArray[Any]]:
    """Return images and labels as a dataset without test images, and the classes in the order of their numbers."""
    pixels = to_pixels(images, image_size)
    given = column_or_1d(y, warn=True)
    check_consistent_length(pixels, given)
    assert_all_finite(given, input_name="y")
    check_classification_targets(given)
    classes, labels = np.unique(given, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"All images are of the class {classes.tolist()}; give two classes or more.")
    nothing = Part(pixels[:0], labels[:0].astype(np.int64))
    names = tuple(str(one) for one in classes.tolist())
    train, looks = Part(pixels, labels.astype(np.int64)), looks_for(images, image_size)
    return Dataset("images", train, nothing, names, "images in memory", looks=looks), classes
