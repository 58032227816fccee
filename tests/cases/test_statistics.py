"""Cases D1 to D3: statistics of few images claimed more certainty than they have."""

import numpy as np
import pytest

import tinysight as ts
from tinysight.evaluation.metrics import compute_metrics
from tinysight.models.selective import choose_threshold
from tinysight.reporting.evaluation_plots import calibration_panels


@pytest.fixture
def small(folder, tmp_path):
    """A finished run of 3 x 24 easy images: few for validation, few for testing."""
    folder(tmp_path / "colors", 24)
    return ts.train("simple", tmp_path / "colors", out=tmp_path / "run", epochs=6, precision="fp32")


def test_d1_the_card_of_a_perfect_class_of_few_images_states_a_wide_interval(small):
    metrics = ts.evaluate(small)
    assert metrics.accuracy == 1
    count = metrics.per_class["red"].support
    lowest = 100 / (1 + 1.959964**2 / count)  # Wilson's lower bound of n of n, in percent
    text = ts.card(small).to_markdown()
    row = next(line for line in text.splitlines() if line.startswith("| red |"))
    assert row == f"| red | 100.0% ({lowest:.1f}% to 100.0%) | 100.0% ({lowest:.1f}% to 100.0%) |"
    assert "100.0% to 100.0%" not in text
    assert "100.0% to 100.0%" not in str(ts.report(small))


def test_d1_six_of_six_is_61_to_100_percent():
    labels = np.repeat([0, 1, 2], [6, 20, 25])
    metrics = compute_metrics(np.eye(3)[labels] * 0.97 + 0.01, labels, ["a", "b", "c"], "test")
    assert metrics.intervals.per_class["a"].recall == (pytest.approx(0.61, abs=0.001), 1)
    for low, high in (metrics.intervals.macro.f1, metrics.intervals.weighted.precision, metrics.intervals.loss):
        assert low < high
    assert metrics.intervals.calibration_error[1] > 0.05  # 51 of 51 are correct, but 94% could be


def test_d2_the_interval_of_the_calibration_error_contains_it():
    """The bootstrap's lower end was above the calibration error of half of the classifiers like this one."""
    random = np.random.default_rng(0)
    for _ in range(50):
        confidences = random.uniform(0.5, 1, 300)
        correct = random.random(300) < confidences
        probabilities = np.stack([confidences, 1 - confidences], axis=1)
        metrics = compute_metrics(probabilities, 1 - correct.astype(int), ["a", "b"], "test")
        low, high = metrics.intervals.calibration_error
        assert low <= metrics.calibration.rms_error <= high


def test_d2_the_reliability_plot_shows_an_interval_for_each_bin():
    labels = np.repeat([0, 1], 20)
    confidences = np.linspace(0.55, 0.99, 40)
    metrics = compute_metrics(np.stack([confidences, 1 - confidences], 1), labels, ["a", "b"], "test")
    (_, reliability), _ = calibration_panels(metrics.calibration.bins, metrics.selective)
    (lines,) = [artist for artist in reliability.axes[0].collections if hasattr(artist, "get_segments")]
    segments = [[tuple(point) for point in segment] for segment in lines.get_segments()]
    assert segments == [
        [(row.confidence, row.accuracy_ci95[0]), (row.confidence, row.accuracy_ci95[1])]
        for row in metrics.calibration.bins
    ]


def test_d3_24_validation_images_cannot_promise_5_percent(small, tinysight):
    spec = small.classifier().spec
    needed = 59
    assert (spec.target_error, spec.n_calibration < needed) == (0.05, True)
    assert spec.abstain_below > 1
    outcome = tinysight("evaluate", small.path)
    sentence = (
        f"no threshold can promise at most 5.0% wrong predictions with {spec.n_calibration} validation images; at "
        "least 59 are needed."
    )
    assert sentence in outcome.out.replace("\n", " ")
    assert sentence in ts.card(small).to_markdown()
    assert sentence in str(ts.report(small)).replace("\n", " ")


def test_d3_a_target_that_the_images_can_show_is_promised(folder, tmp_path, tinysight):
    folder(tmp_path / "colors", 60)
    settings = ("--epochs", "6", "--precision", "fp32", "--set", "training.target_error=0.25")
    outcome = tinysight("train", "simple", "--data", tmp_path / "colors", "--out", tmp_path / "run", *settings)
    assert outcome.code == 0
    evaluated = tinysight("evaluate", tmp_path / "run").out.replace("\n", " ")
    assert "so that at most 25.0% of the predictions that are not unsure are wrong (with 95% confidence)." in evaluated


def test_d3_train_says_at_its_end_that_everything_is_unsure(folder, tmp_path, tinysight):
    folder(tmp_path / "colors", 12)
    outcome = tinysight("train", "simple", "--data", tmp_path / "colors", "--out", tmp_path / "run", "--epochs", "1")
    assert "All predictions are unsure: no threshold can promise at most 5.0% wrong predictions" in outcome.err


@pytest.mark.parametrize("n", [20, 24, 58])
def test_d3_too_few_images_abstain_even_without_a_mistake(n):
    assert choose_threshold(np.linspace(0.9, 1, n), np.full(n, True), 0.05).coverage == 0
