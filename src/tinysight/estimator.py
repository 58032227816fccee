"""ImageClassifier: a scikit-learn estimator for small color images."""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from html import escape
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags, assert_all_finite, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight

from tinysight._util import console
from tinysight._util.errors import DataError
from tinysight._util.files import storage_errors
from tinysight._util.formatting import percent
from tinysight._util.progress import SILENT, Progress
from tinysight.data.dataset import Dataset, Pixels, Split
from tinysight.data.image_html import FIGURE_HTML, ROW_HTML, image_html
from tinysight.data.image_io import to_crops, to_pixels
from tinysight.data.labels import Task, require_multi_class
from tinysight.data.sources.arrays import dataset_from_arrays, label_array
from tinysight.explanation.feature_index import extract_features
from tinysight.models.classifier import Classifier, top_k
from tinysight.models.conformal import describe_set, prediction_set, prediction_sets
from tinysight.models.predictor import Outputs, Predictor
from tinysight.models.transfer import InitialWeights
from tinysight.models.tta import average_over_crops
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training import device as devices
from tinysight.training import forecast
from tinysight.training.backbone import with_backbone
from tinysight.training.precision import PrecisionOption
from tinysight.training.request import TrainRequest, resolve
from tinysight.training.session import Session


class ImageClassifier(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Image classifier with the scikit-learn interface.

    Images are uint8 arrays of 0..255, (n, height, width, 3) or (n, 3, height, width); or lists, arrays or pandas Series
    of paths; or lists of arrays or Pillow images. Images of a different size are resized to fit the shorter side and
    center-cropped. If the classifier was trained on an array of its input size, predictions for larger images also
    average over closer crops.

    Args:
        recipe: name of a built-in recipe (`tinysight recipes list`) or path of a TOML file.
        minutes: time budget for training. "fast" requires it; other recipes use their number of epochs by default.
        epochs: number of epochs, instead of `minutes`.
        overrides: recipe overrides, each of the form "section.key=value".
        tta: whether to average predictions over several views of an image; slower and slightly more accurate.
        precision: "auto", "fp32" or "bf16".
        device: "auto", "cpu" or "cuda".
        class_weight: weights of the classes in the loss: a dict from label to weight; "balanced" for weights inversely
            proportional to the class counts; None for those of the recipe (`training.class_weight`).
        warm_start: whether `fit` continues from the weights of the previous call, on images of the same classes.
        random_state: seed of all random numbers: an integer, a `numpy.random.RandomState`, or None for NumPy's global
            random state. With an integer and a fixed number of epochs, repeated calls of `fit` give equal weights.
        verbose: whether to show training progress. None shows it in a terminal or a notebook only.

    Attributes:
        classes_: the class labels, sorted, of the type that was given to `fit`; of several labels per image, their
            indices, or the columns of a DataFrame.
        n_features_in_: number of values per image, 3 * image_size ** 2.
        history_: one dict per epoch: epoch, seconds, images_per_second, loss, accuracy, val_loss, val_accuracy, lr,
            val_balanced_accuracy, val_macro_f1, val_mean_average_precision (of several labels).
        network_: the trained `torch.nn.Module`: logits of images that `classifier_.spec.normalization` normalized.
        classifier_: the network with its normalization and calibration, a `tinysight.Classifier`.
        run_: the training run, a `tinysight.Run` in a temporary directory until `save`.

    >>> from tinysight import ImageClassifier, load_dataset
    >>> shapes = load_dataset("shapes:train=100,test=20")
    >>> classifier = ImageClassifier("early-stopping", epochs=1)
    >>> classifier.fit(shapes.train.pixels, shapes.train.labels).predict(shapes.test.pixels).shape
    (20,)
    """

    def __init__(
        self,
        recipe: str = "fast",
        minutes: float | None = None,
        epochs: int | None = None,
        overrides: Sequence[str] = (),
        tta: bool = False,
        precision: PrecisionOption = "auto",
        device: devices.DeviceOption = "auto",
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool | None = None,
    ) -> None:
        self.recipe = recipe
        self.minutes = minutes
        self.epochs = epochs
        self.overrides = overrides
        self.tta = tta
        self.precision = precision
        self.device = device
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Any,  # noqa: N803  (scikit-learn's names)
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Any, ArrayLike] | None = None,
    ) -> Self:
        """Train on images and their labels.

        Args:
            X: images, as described for the class.
            y: labels, (n,), of at least two classes; or (n, labels) of 0 and 1, if images may have several labels.
            sample_weight: weight of each image in the loss, (n,), 0 or more; by default equal weights. Only ratios
                matter: the weights are scaled to a mean of 1.
            validation_data: images and labels to validate, stop early and calibrate on; by default the recipe sets
                some of `X` aside.

        Raises:
            InputError: `X` does not contain images.
            ValueError: the number of labels differs from the number of images, there are fewer than two classes, or a
                weight is negative; with `warm_start`, the classes differ from those of the previous call.
            RecipeError: the recipe is invalid.
            TrainingError: training failed.
        """
        start_time, progress = time.time(), self._progress()
        recipe = loading.load_with_overrides(self.recipe, list(self.overrides), self.epochs, self.minutes)
        recipe = with_backbone(recipe)
        previous: Classifier | None = getattr(self, "classifier_", None) if self.warm_start else None
        if previous:
            recipe = recipe.model_copy(update={"model": previous.spec.model})
        if self.class_weight is not None:  # instead of the recipe's, not in addition
            training = recipe.training.model_copy(update={"class_weight": "none"})
            recipe = recipe.model_copy(update={"training": training})
            task: Task = "multi-label" if _is_multi_label(y) else "multi-class"
            require_multi_class(task, "class_weight", "Pass class_weight=None; every label gets its own threshold.")
        forecast.check_time_budget(recipe)
        dataset, classes = _dataset(X, y, recipe.data.image_size)
        if previous and not np.array_equal(classes, self.classes_):
            raise ValueError(f"y: its classes differ from those of the previous fit, {self.classes_.tolist()}.")
        weights = _weights(y, sample_weight, self.class_weight)
        dataset = replace(dataset, train=replace(dataset.train, weights=weights))
        if validation_data is not None:
            is_multi_label, size = dataset.task == "multi-label", recipe.data.image_size
            validation = _validation_split(*validation_data, classes, size, is_multi_label)
            dataset = replace(dataset, validation=validation)
        run = _temporary_run()
        request = TrainRequest(
            recipe,
            dataset,
            run.path,
            _seed(self.random_state),
            precision=self.precision,
            device=self.device,
            start_time=start_time,
            initial_weights=InitialWeights(previous.network.state_dict(), previous.class_names) if previous else None,
        )
        Session(resolve(request, progress=progress), progress=progress).run()
        self._set_fitted(run, run.classifier(), classes)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return probabilities (n, classes), in the order of `classes_`; of several labels, each for itself."""
        classifier = self._require_fitted()
        return self._crop_probabilities(to_crops(X, classifier.image_size, classifier.crops))

    def predict_log_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return the natural logarithm of `predict_proba`; -inf where a probability is 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the most probable class of each image, (n,); or 1 for each label that it gets, (n, labels)."""
        probabilities = self.predict_proba(X)
        if thresholds := self._require_fitted().thresholds:
            return (probabilities >= np.array(thresholds)).astype(np.int64)
        labels: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        return labels

    def predict_details(self, X: Any) -> Predictions | MultiLabelPredictions:  # noqa: N803
        """Return the predictions with all that is known about them; notebooks display them with the images."""
        classifier = self._require_fitted()
        crops = to_crops(X, classifier.image_size, classifier.crops)
        outputs = Outputs.over_crops(partial(classifier.outputs, tta=self.tta), crops)
        if classifier.task == "multi-label":
            return MultiLabelPredictions.of(classifier, crops[:, 0], self.classes_, outputs)
        return Predictions.of(classifier, crops[:, 0], self.classes_, outputs)

    def transform(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return the embeddings of images, (n, features): the inputs of the network's last layer, of length 1.

        Similar images have similar embeddings, for example for clustering, search or another classifier.
        """
        classifier = self._require_fitted()
        embeddings: NDArray[np.float32] = extract_features(classifier, to_pixels(X, classifier.image_size)).numpy()
        return embeddings

    def save(self, path: str | Path) -> Path:
        """Copy the run to `path`, for `load` and for the command line.

        Raises:
            RunError: `path` already exists.
        """
        self._require_fitted()
        target = Path(path)
        Run.check_available(target)
        with storage_errors(target):
            shutil.copytree(self.run_.path, target, dirs_exist_ok=True)
        return target

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Load a classifier from a run directory, written by `save` or by the command line.

        The labels have the type that the classifier was trained on; those of image folders are strings.

        Raises:
            RunError: `path` is not a run, or its files were altered.
        """
        run = Run.open(Path(path))
        classifier = run.classifier()
        environment = run.environment()
        loaded = cls(recipe=str(run.path / "recipe.toml"), random_state=environment.seed)
        loaded._set_fitted(run, classifier, environment.dataset.parse_labels(classifier.class_names))
        return loaded

    def _progress(self) -> Progress:
        return console.progress if self.verbose or (self.verbose is None and console.is_interactive()) else SILENT

    def __sklearn_tags__(self) -> Tags:
        """Declare that the estimator takes images, not tables."""
        tags: Tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = []  # images are uint8, embeddings float32
        return tags

    def _set_fitted(self, run: Run, classifier: Classifier, classes: NDArray[Any]) -> None:
        self._set_run(run, classifier)
        self.classes_, self.n_features_in_ = classes, 3 * classifier.image_size**2

    def _set_run(self, run: Run, classifier: Classifier) -> None:
        self.run_, self.classifier_, self.network_ = run, classifier, classifier.network
        one_image = np.zeros((1, 3, classifier.image_size, classifier.image_size), dtype=np.uint8)
        self._n_features_out = extract_features(classifier, one_image).shape[1]  # for `get_feature_names_out`
        self.history_ = [epoch.model_dump() for epoch in run.history()]

    def _crop_probabilities(self, crops: Pixels) -> NDArray[np.float32]:
        return average_over_crops(partial(self._require_fitted().probabilities, tta=self.tta), crops)

    def _require_fitted(self) -> Classifier:
        if not hasattr(self, "classifier_"):
            raise NotFittedError("ImageClassifier: not fitted yet. Call fit(images, labels) first.")
        classifier: Classifier = self.classifier_
        return classifier

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle and joblib: the files of the run stand for the run."""
        state: dict[str, Any] = super().__getstate__()
        if "run_" in state:
            state = {name: value for name, value in state.items() if name not in _FROM_RUN}
            state["run_files"] = self.run_.read_files()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore the state; the files of the run are written to a new temporary directory."""
        attributes = dict(state)
        files = attributes.pop("run_files", None)
        super().__setstate__(attributes)
        if files is not None:
            run = _temporary_run()
            run.write_files(files)
            self._set_run(run, run.classifier())


_FROM_RUN = ("run_", "classifier_", "network_", "history_")  # set by `_set_run`


def _seed(random_state: Any) -> int:
    """Return the seed of one call of `fit`."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31))


def _temporary_run() -> Run:
    """Return an unwritten run in a temporary directory that is deleted together with the Run object."""
    directory = tempfile.mkdtemp(prefix="tinysight-")
    run = Run(Path(directory, "run"))
    weakref.finalize(run, shutil.rmtree, directory, ignore_errors=True)
    return run


def _is_multi_label(y: Any) -> bool:
    """Return whether `y` is a matrix of 0 and 1, with a column for each label."""
    targets = np.asarray(y)
    return targets.ndim == 2 and targets.shape[1] > 1 and bool(type_of_target(targets) == "multilabel-indicator")


def _dataset(images: Any, y: ArrayLike, image_size: int) -> tuple[Dataset, NDArray[Any]]:
    """Return a dataset without test images, and the classes in the order of its labels."""
    if _is_multi_label(y):
        check_consistent_length(images, y)
        dataset = dataset_from_arrays(images, y, image_size)
        return dataset, np.array(dataset.class_names if hasattr(y, "columns") else range(len(dataset.class_names)))
    column_or_1d(y, warn=True)
    try:
        targets = label_array(y)  # scikit-learn makes nullable integers of pandas floats
    except DataError as error:
        raise ValueError(str(error)) from error
    check_consistent_length(images, targets)
    assert_all_finite(targets, input_name="y")
    check_classification_targets(targets)
    classes = np.unique(targets)
    if len(classes) < 2:
        raise ValueError(f"y: it has the single class {classes.tolist()}. Give at least two classes.")
    return dataset_from_arrays(images, targets, image_size), classes


def _weights(y: ArrayLike, sample_weight: ArrayLike | None, class_weight: Any) -> NDArray[np.float32] | None:
    """Return the product of sample and class weights with a mean of 1, or None if neither is given."""
    if sample_weight is None and class_weight is None:
        return None
    weights = _check_sample_weight(sample_weight, np.asarray(y), ensure_non_negative=True)
    if class_weight is not None:
        weights = compute_sample_weight(class_weight, column_or_1d(y)) * weights
    if not weights.any():
        raise ValueError("sample_weight and class_weight: all weights are 0. Give at least one positive weight.")
    scaled: NDArray[np.float32] = (weights / weights.mean()).astype(np.float32)
    return scaled


def _validation_split(images: Any, y: ArrayLike, classes: NDArray[Any], image_size: int, is_multi_label: bool) -> Split:
    check_consistent_length(images, y)
    if is_multi_label:
        labels = np.asarray(y)
        if labels.ndim != 2 or labels.shape[1] != len(classes) or not np.isin(labels, (0, 1)).all():
            raise ValueError(f"validation_data: its labels do not fit y. Pass {len(classes)} columns of 0 and 1.")
        return Split(to_pixels(images, image_size), labels.astype(np.int64))
    labels = column_or_1d(y)
    unknown = sorted(set(labels.tolist()) - set(classes.tolist()))
    if unknown or not len(labels):
        problem = f"the label {unknown[0]!r} is not in y" if unknown else "there are no images"
        raise ValueError(f"validation_data: {problem}. Pass images of the classes that you train on.")
    return Split(to_pixels(images, image_size), np.searchsorted(classes, labels).astype(np.int64))


_UNLIKE_HTML = "<em>unlike the training images</em>"
_MAX_SHOWN = 50  # images; more make a notebook slow


def _html(pixels: Pixels, labels: Sequence[str], caption: Callable[[int], str]) -> str:
    """Return the first images with captions, in HTML."""
    figures = [
        FIGURE_HTML.format(image=image_html(pixels[index], labels[index]), text=caption(index))
        for index in range(len(pixels))[:_MAX_SHOWN]
    ]
    more = f"<p>and {len(pixels) - _MAX_SHOWN:,} more</p>" if len(pixels) > _MAX_SHOWN else ""
    return f"<div>{ROW_HTML.format(''.join(figures))}{more}</div>"


def _count_unlike(unlike_training: NDArray[np.bool_] | None) -> str:
    count = 0 if unlike_training is None else int(unlike_training.sum())
    return f", {count:,} unlike the training images" * (count > 0)


@dataclass(frozen=True)
class Predictions:
    """The predictions of a classifier for some images.

    Attributes:
        pixels: uint8, (n, 3, image_size, image_size), the first crop of each image.
        classes: (classes,), in the order of the probabilities.
        probabilities: (n, classes), 0..1.
        abstain_below: top-1 probability below which the classifier abstains, 0..1.
        set_threshold: probability from which a class is in the prediction set, 0..1; None if it was not calibrated.
        unlike_training: (n,), whether an image is unlike the training images; None if it is not known.
    """

    pixels: Pixels
    classes: NDArray[Any]
    probabilities: NDArray[np.float32]
    abstain_below: float
    set_threshold: float | None = None
    unlike_training: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, classifier: Predictor, pixels: Pixels, classes: NDArray[Any], outputs: Outputs) -> Self:
        """Return the predictions that the outputs of a classifier for images (n, 3, height, width) give."""
        return cls(
            pixels,
            classes,
            outputs.probabilities,
            classifier.abstain_below,
            classifier.set_threshold,
            outputs.unlike_training(classifier.ood_threshold),
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        labels, counts = np.unique(self.labels, return_counts=True)
        largest = ", ".join(f"{labels[index]}: {counts[index]:,}" for index in np.argsort(-counts, kind="stable")[:3])
        more = ", ..." if len(labels) > 3 else ""
        doubts = f"{self.unsure.sum():,} unsure{_count_unlike(self.unlike_training)}"
        return f"Predictions({len(self):,} images, {doubts}; {largest}{more})"

    @cached_property
    def labels(self) -> NDArray[Any]:
        """The most probable class of each image, (n,)."""
        labels: NDArray[Any] = self.classes[self.probabilities.argmax(1)]
        return labels

    @cached_property
    def unsure(self) -> NDArray[np.bool_]:
        """Whether the classifier abstains on each image, (n,)."""
        unsure: NDArray[np.bool_] = self.probabilities.max(1) < self.abstain_below
        return unsure

    @cached_property
    def in_set(self) -> NDArray[np.bool_] | None:
        """Whether each class is in the 95% prediction set of an image, (n, classes); None if it was not calibrated."""
        return None if self.set_threshold is None else prediction_sets(self.probabilities, self.set_threshold)

    def _repr_html_(self) -> str:
        return _html(self.pixels, [str(label) for label in self.labels], self._caption)

    def _caption(self, index: int) -> str:
        """Return the three most probable classes, one per line, and the prediction set if it says more.

        The set of an image unlike the training images is left out, since its coverage holds for images like them.
        """
        order = top_k(self.probabilities[index], 3)
        first, *others = (
            f"{escape(str(self.classes[label]))} {percent(self.probabilities[index, label])}" for label in order
        )
        head = f"<em>unsure: {first}</em>" if self.unsure[index] else f"<strong>{first}</strong>"
        if self.unlike_training is not None and self.unlike_training[index]:
            return "<br>".join([_UNLIKE_HTML, head, *others])
        names = prediction_set(self.probabilities[index], self.set_threshold, self.classes.astype(str).tolist()) or []
        text = describe_set(names, len(self.classes))
        return "<br>".join([head, *others, *[escape(text)] * bool(text)])


@dataclass(frozen=True)
class MultiLabelPredictions:
    """The predictions of a classifier that gives each image any number of labels.

    Attributes:
        pixels: uint8, (n, 3, image_size, image_size), the first crop of each image.
        classes: (classes,), the labels, in the order of the probabilities.
        probabilities: (n, classes), 0..1, each for itself: rows do not sum to 1.
        thresholds: the probability from which an image gets each label, 0..1.
        unlike_training: (n,), whether an image is unlike the training images; None if it is not known.
    """

    pixels: Pixels
    classes: NDArray[Any]
    probabilities: NDArray[np.float32]
    thresholds: tuple[float, ...]
    unlike_training: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, classifier: Predictor, pixels: Pixels, classes: NDArray[Any], outputs: Outputs) -> Self:
        """Return the predictions that the outputs of a classifier for images (n, 3, height, width) give."""
        unlike = outputs.unlike_training(classifier.ood_threshold)
        return cls(pixels, classes, outputs.probabilities, classifier.thresholds, unlike)

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{name}: {count:,}" for name, count in zip(self.classes, self.indicators.sum(0), strict=True)
        )
        return f"MultiLabelPredictions({len(self):,} images{_count_unlike(self.unlike_training)}; {counts})"

    @cached_property
    def indicators(self) -> NDArray[np.int64]:
        """1 for each label that an image gets and 0 elsewhere, int64 (n, classes), as scikit-learn takes them."""
        return (self.probabilities >= np.array(self.thresholds)).astype(np.int64)

    @cached_property
    def labels(self) -> list[tuple[Any, ...]]:
        """The labels of each image, in the order of the classes; empty if it gets none."""
        classes = self.classes.tolist()
        return [tuple(classes[index] for index in np.flatnonzero(row)) for row in self.indicators]

    def _repr_html_(self) -> str:
        return _html(self.pixels, [", ".join(map(str, labels)) or "no label" for labels in self.labels], self._caption)

    def _caption(self, index: int) -> str:
        """Return the labels of an image with their probabilities, one per line."""
        order = [label for label in np.argsort(-self.probabilities[index]) if self.indicators[index, label]]
        lines = [f"{escape(str(self.classes[label]))} {percent(self.probabilities[index, label])}" for label in order]
        is_unlike = self.unlike_training is not None and self.unlike_training[index]
        return "<br>".join([*[_UNLIKE_HTML] * bool(is_unlike), *(lines or ["<em>no label</em>"])])
