"""Training with several labels per image: loss, thresholds, temperature, and settings that do not apply."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from sklearn.metrics import average_precision_score, f1_score

from tinysight._util.errors import RecipeError
from tinysight.data.dataset import Dataset, Split
from tinysight.data.splits import split_dataset
from tinysight.runs.run import Run
from tinysight.training.objective import OBJECTIVES
from tinysight.training.temperature_scaling import fit_sigmoid_temperature
from tinysight.training.thresholds import choose_thresholds
from tinysight.training.trainer import Trainer

MULTI_LABEL = OBJECTIVES["multi-label"]
NAMES = ("red", "green", "blue")


def _part(count, random):
    """Return noisy 16x16 images whose quadrants show their labels."""
    labels = (random.random((count, 3)) < 0.4).astype(np.int64)
    pixels = random.integers(0, 120, (count, 3, 16, 16))
    for label, (row, column) in enumerate(((0, 0), (0, 8), (8, 0))):
        pixels[:, label, row : row + 8, column : column + 8] += 80 * labels[:, label, None, None]
    return Split(pixels.astype(np.uint8), labels)


@pytest.fixture(scope="module")
def labeled():
    random = np.random.default_rng(0)
    return Dataset("quadrants", _part(150, random), _part(30, random), NAMES, "made up")


@pytest.fixture(scope="module")
def outcome():
    random = np.random.default_rng(1)
    labels = (random.random((60, 3)) < 0.4).astype(np.int64)
    return torch.from_numpy(2 * labels - 1 + random.normal(0, 1.5, labels.shape)), torch.from_numpy(labels)


def test_the_loss_is_the_binary_cross_entropy_of_torch(outcome):
    logits, labels = outcome
    expected = F.binary_cross_entropy_with_logits(logits, labels.double(), reduction="sum")
    assert float(MULTI_LABEL.loss(logits, labels, 0.0, None)) == pytest.approx(float(expected))
    smoothed = F.binary_cross_entropy_with_logits(logits, labels.double() * 0.8 + 0.1, reduction="sum")
    assert float(MULTI_LABEL.loss(logits, labels, 0.2, None)) == pytest.approx(float(smoothed))
    weights = torch.linspace(0, 2, len(labels))
    rows = F.binary_cross_entropy_with_logits(logits, labels.double(), reduction="none").sum(1)
    assert float(MULTI_LABEL.loss(logits, labels, 0.0, weights)) == pytest.approx(float((rows * weights).sum()))


def test_validation_metrics_are_those_of_scikit_learn(outcome):
    logits, labels = outcome
    scores = MULTI_LABEL.validate(logits, labels)
    assert scores["val_mean_average_precision"] == pytest.approx(average_precision_score(labels, logits))
    assert scores["val_macro_f1"] == pytest.approx(f1_score(labels, logits >= 0, average="macro"))
    assert scores["val_accuracy"] == pytest.approx(float(((logits >= 0) == labels.bool()).double().mean()))
    assert MULTI_LABEL.count_correct(logits, labels) / len(labels) == pytest.approx(scores["val_accuracy"])


@pytest.mark.parametrize("digits", [1, 3])
def test_no_other_threshold_has_a_higher_f1(digits):
    random = np.random.default_rng(digits)
    labels = (random.random((40, 4)) < 0.3).astype(np.int64)
    labels[:, 3] = 0
    probabilities = random.random((40, 4)).round(digits).astype(np.float32)
    thresholds = choose_thresholds(probabilities, labels)
    assert thresholds[3] == 0.5
    for column in range(3):
        truth, scores = labels[:, column], probabilities[:, column]
        best = max(f1_score(truth, scores >= value) for value in np.unique(scores))
        assert f1_score(truth, scores >= thresholds[column]) == pytest.approx(best)


def test_a_threshold_that_separates_is_in_the_middle():
    probabilities = np.array([[0.9], [0.7], [0.2], [0.1]])
    assert choose_thresholds(probabilities, np.array([[1], [1], [0], [0]])) == pytest.approx((0.45,))
    assert choose_thresholds(probabilities, np.ones((4, 1), dtype=np.int64)) == pytest.approx((0.05,))


def test_the_temperature_minimizes_the_loss_with_one_pseudo_image(outcome):
    logits, labels = outcome

    def loss(log_temperature):
        scaled = logits / np.exp(log_temperature)
        own = F.binary_cross_entropy_with_logits(scaled, labels.double(), reduction="sum")
        pseudo = F.binary_cross_entropy_with_logits(scaled, torch.full_like(scaled, 0.5), reduction="mean") * 3
        return float(own + pseudo)

    expected = np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9}).x)
    assert fit_sigmoid_temperature(logits, labels) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("training.class_weight=balanced", "training.class_weight: does not support several labels"),
        ("training.sampling=balanced", "training.sampling: does not support several labels"),
        ("training.target_error=0.1", "training.target_error: does not support several labels"),
        (
            "early_stopping.monitor=val_balanced_accuracy",
            "early_stopping.monitor val_balanced_accuracy: does not support",
        ),
    ],
)
def test_settings_for_one_class_per_image_are_refused(labeled, recipe, change, message):
    changed = recipe(change)
    with pytest.raises(RecipeError, match=message):
        Trainer(changed, labeled, split_dataset(labeled, changed.data, 0), 0, "fp32")


@pytest.mark.parametrize("change", ["augmentation.mixup=1.0", "training.label_smoothing=0.2", "training.epochs=7"])
def test_training_learns_every_label(labeled, recipe, change):
    changed = recipe("training.epochs=8", "optimizer.learning_rate=0.003", change)
    trainer = Trainer(changed, labeled, split_dataset(labeled, changed.data, 0), 0, "fp32")
    while not trainer.done:
        for _ in range(trainer.loader.steps_per_epoch):
            trainer.step()
        trainer.end_epoch()
    first, last = trainer.history[0], trainer.history[-1]
    assert last.val_mean_average_precision > max(0.7, first.val_mean_average_precision)
    assert last.val_balanced_accuracy is None
    assert 0 <= last.accuracy <= 1


def test_a_run_states_its_thresholds_and_resumes_bit_for_bit(labeled, plan, train, weights, tmp_path):
    config = replace(plan("training.epochs=2"), dataset=labeled)
    summary = train(config, tmp_path / "whole")
    assert (summary.task, summary.measure) == ("multi-label", "mean average precision")
    assert summary.val_score == summary.val_mean_average_precision
    spec = Run(tmp_path / "whole").classifier().spec
    assert (spec.task, len(spec.thresholds), spec.abstain_below, spec.target_error) == ("multi-label", 3, 0.0, None)

    class Stop:
        def __init__(self):
            self.calls = 0

        @property
        def requested(self):
            self.calls += 1
            return self.calls == 7

    assert train(config, tmp_path / "parts", stop_request=Stop()).status == "interrupted"
    assert train(config, tmp_path / "parts", resume=True).status == "finished"
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
