"""Objective of a training: the loss, the validation metrics and the calibration of its task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysight._util.errors import RecipeError
from tinysight.data.labels import Task
from tinysight.models.conformal import fit_set_threshold
from tinysight.models.scores import (
    average_precisions,
    balanced_accuracy,
    label_f1,
    macro_f1,
    mean_average_precision,
    never_predicted,
)
from tinysight.models.selective import choose_threshold
from tinysight.recipes.schema import Recipe, TrainingSection
from tinysight.training.temperature_scaling import fit_sigmoid_temperature, fit_temperature
from tinysight.training.thresholds import choose_thresholds


class Objective(ABC):
    """What differs between the tasks in training.

    Logits are float (n, classes). Labels are int64, as in `tinysight.data.labels`, or float (n, classes) if mixed.
    """

    decides_by_margin: bool
    """Whether the largest logit decides, so that predictions in bfloat16 can be checked by their margin."""

    gradient_scale: float = 1.0
    """What the gradients of the loss are multiplied by."""

    def check(self, recipe: Recipe) -> None:  # noqa: B027
        """Raise RecipeError if the recipe sets a value that this task does not support."""

    @abstractmethod
    def initial_spec(self, num_classes: int) -> dict[str, Any]:
        """Return the values of the `ClassifierSpec` for this task before calibration."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
        """Return the sum of the losses of the images in nats, each times its weight, if weights (n,) are given."""

    @abstractmethod
    def count_correct(self, logits: Tensor, labels: Tensor) -> float:
        """Return the number of correct predictions; with several labels, an image counts by its share of them."""

    @abstractmethod
    def validate(self, logits: Tensor, labels: Tensor) -> dict[str, float | None]:
        """Return the validation metrics by their names in `EpochRecord`."""

    @abstractmethod
    def calibrate(self, logits: Tensor, labels: Tensor, target_error: float) -> dict[str, Any]:
        """Return the calibrated values of the `ClassifierSpec`."""

    def never_predicted(self, logits: Tensor, labels: Tensor, class_names: tuple[str, ...]) -> dict[str, int]:
        """Return the classes that have images but are never predicted, with their numbers of images."""
        return {}


class MultiClass(Objective):
    """One class per image: softmax cross-entropy, temperature scaling, a threshold to abstain, prediction sets."""

    decides_by_margin = True

    def initial_spec(self, num_classes: int) -> dict[str, Any]:
        """Return nothing: this task is the default."""
        return {}

    def loss(self, logits: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
        """Return the cross-entropy of the softmax."""
        if weights is None:
            return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
        return (F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing) * weights).sum()

    def count_correct(self, logits: Tensor, labels: Tensor) -> float:
        """Return the number of correct classes. Of soft labels, the largest counts as the correct one."""
        correct_labels = labels if labels.ndim == 1 else labels.argmax(1)
        return int((logits.argmax(1) == correct_labels).sum())

    def validate(self, logits: Tensor, labels: Tensor) -> dict[str, float | None]:
        """Return mean loss, accuracy, balanced accuracy and macro F1."""
        true, predicted = labels.numpy(), logits.argmax(1).numpy()
        return {
            "val_loss": float(F.cross_entropy(logits, labels)),
            "val_accuracy": int((true == predicted).sum()) / len(true),
            "val_balanced_accuracy": balanced_accuracy(true, predicted),
            "val_macro_f1": macro_f1(true, predicted, logits.shape[1]),
        }

    def calibrate(self, logits: Tensor, labels: Tensor, target_error: float) -> dict[str, Any]:
        """Return the temperature, and the thresholds to abstain (by `target_error`) and of the prediction sets."""
        temperature = fit_temperature(logits, labels)
        probabilities = (logits / temperature).softmax(1)
        confidences, predictions = probabilities.max(1)
        rule = choose_threshold(confidences.numpy(), (predictions == labels).numpy(), target_error)
        return {
            "temperature": temperature,
            "abstain_below": rule.threshold,
            "target_error": target_error,
            "set_threshold": fit_set_threshold(probabilities.numpy(), labels.numpy()),
        }

    def never_predicted(self, logits: Tensor, labels: Tensor, class_names: tuple[str, ...]) -> dict[str, int]:
        """Return the classes that no image is assigned to."""
        classes = len(class_names)
        pairs = torch.bincount(labels * classes + logits.argmax(1), minlength=classes**2)
        return never_predicted(pairs.view(classes, classes).numpy(), class_names)


class MultiLabel(Objective):
    """Any number of labels per image: binary cross-entropy of each label, and a threshold for each.

    The loss of an image is the sum over its labels, in nats. Its gradient is scaled, so that learning rates for a
    softmax suit sigmoids: at first, the slope of a sigmoid is 0.25, and that of a softmax of ten classes 0.09.
    Unscaled, short trainings of the fast family were unstable (docs/adr/0104-several-labels-per-image.md).
    """

    decides_by_margin = False
    gradient_scale = 0.36

    def check(self, recipe: Recipe) -> None:
        """Refuse what needs one class per image."""
        monitor = recipe.early_stopping and recipe.early_stopping.monitor
        target = TrainingSection.model_fields["target_error"].default
        one_class = {
            "training.class_weight": recipe.training.class_weight == "balanced",
            "training.sampling": recipe.training.sampling == "balanced",
            "training.target_error": recipe.training.target_error != target,
            "early_stopping.monitor val_balanced_accuracy": monitor == "val_balanced_accuracy",
        }
        if unsupported := [key for key, is_set in one_class.items() if is_set]:
            raise RecipeError(f"{unsupported[0]}: does not support several labels per image. Use its default.")

    def initial_spec(self, num_classes: int) -> dict[str, Any]:
        """Return thresholds of 0.5, which never abstain."""
        return {"task": "multi-label", "thresholds": (0.5,) * num_classes, "abstain_below": 0.0}

    def loss(self, logits: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None) -> Tensor:
        """Return the binary cross-entropy, summed over the labels. Smoothing moves targets toward 0.5, as in Keras."""
        targets = labels.float() * (1 - smoothing) + smoothing / 2
        losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
        return losses.sum() if weights is None else (losses * weights).sum()

    def count_correct(self, logits: Tensor, labels: Tensor) -> float:
        """Return the sum over the images of the share of labels that are correct at a probability of 0.5."""
        return float(((logits >= 0) == (labels >= 0.5)).float().mean(1).sum())

    def validate(self, logits: Tensor, labels: Tensor) -> dict[str, float | None]:
        """Return mean loss, Hamming accuracy and macro F1 at a probability of 0.5, and mean average precision."""
        true, predicted = labels.numpy(), (logits >= 0).numpy()
        return {
            "val_loss": float(self.loss(logits, labels, 0.0, None)) / len(labels),
            "val_accuracy": float((true == predicted).mean()),
            "val_macro_f1": float(label_f1(true, predicted).mean()),
            "val_mean_average_precision": mean_average_precision(average_precisions(true, logits.numpy())),
        }

    def calibrate(self, logits: Tensor, labels: Tensor, target_error: float) -> dict[str, Any]:
        """Return the temperature, and the threshold of each label with the highest F1."""
        temperature = fit_sigmoid_temperature(logits, labels)
        probabilities = (logits / temperature).sigmoid().numpy()
        return {"temperature": temperature, "thresholds": choose_thresholds(probabilities, labels.numpy())}


OBJECTIVES: dict[Task, Objective] = {"multi-class": MultiClass(), "multi-label": MultiLabel()}
