"""`tinysight evaluate` and the files that it writes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCORES = {"precision", "recall", "f1"}


@pytest.fixture
def evaluated(tinysight, finished_run):
    outcome = tinysight("evaluate", finished_run, "--tta")
    assert outcome.code == 0
    return finished_run, outcome, json.loads((finished_run / "metrics.json").read_text())


def test_metrics_json_has_contract_keys_and_matches_the_report(evaluated):
    run, outcome, metrics = evaluated
    assert set(metrics) == {
        *(
            "format",
            "split",
            "n",
            "accuracy",
            "accuracy_ci95",
            "balanced_accuracy",
            "loss",
            "accuracy_tta",
            "per_class",
        ),
        *("macro", "weighted", "confusion_matrix", "calibration", "recipe", "dataset", "notes"),
        *("weights_sha256", "sha256", "selective", "intervals", "prediction_sets", "unlike_training"),
    }
    assert (metrics["format"], metrics["split"], metrics["n"]) == (4, "test", 30)
    low, high = metrics["accuracy_ci95"]
    assert 0 <= low <= metrics["accuracy"] <= high <= 1
    assert 0 <= metrics["accuracy_tta"] <= 1
    assert metrics["loss"] > 0
    assert len(metrics["per_class"]) == 10
    for scores in (*metrics["per_class"].values(), metrics["macro"], metrics["weighted"]):
        assert set(scores) == {*SCORES, "support"}
        assert all(0 <= scores[score] <= 1 for score in SCORES)
    assert {sum(row) for row in metrics["confusion_matrix"]} == {3}
    assert set(metrics["calibration"]) == {"ece", "rms_error", "temperature", "bins"}
    assert set(metrics["selective"]) == {
        *("threshold", "coverage", "coverage_ci95", "error", "error_ci95", "target_error", "n_calibration"),
        *("aurc", "curve"),
    }

    report = outcome.out.splitlines()
    assert report[0].split() == ["precision", "recall", "f1-score", "support"]
    circle = metrics["per_class"]["circle"]
    assert report[2].split() == ["circle", *(f"{circle[score]:.4f}" for score in ("precision", "recall", "f1")), "3"]
    assert (
        f"test accuracy {metrics['accuracy']:.1%} (n = 30), 95% interval {low:.1%} to {high:.1%}, loss " in outcome.out
    )
    assert f"(TTA): {metrics['accuracy_tta']:.1%} (n = 30)" in outcome.out
    assert outcome.out.count("; always 'circle' would be right for 10.0%") == 2  # and with TTA
    assert "(always one class: 10.0%); macro F1 " in outcome.out
    assert report[-1] == f"files: {run / 'metrics.json'} and the plots in {run / 'plots'}"
    assert outcome.next == f"tinysight audit {run}"


def test_all_files_contain_the_note_on_shapes(evaluated):
    run, _, metrics = evaluated
    note = "These are synthetic images that tinysight generates, not photographs."
    assert metrics["dataset"] == "shapes"
    assert metrics["notes"] == [note]
    assert json.loads((run / "summary.json").read_text())["notes"] == [note]
    assert json.loads((run / "environment.json").read_text())["dataset"]["notes"] == [note]
    assert json.loads((run / "model.json").read_text())["notes"] == [note]
    assert f"# {note}" in (run / "recipe.toml").read_text().splitlines()
    with np.load(run / "predictions.npz") as predictions:
        assert predictions["notes"].tolist() == [note]


def test_plots_are_images(evaluated):
    run, *_ = evaluated
    names = sorted(path.name for path in (run / "plots").iterdir())
    assert names == ["confidence.png", "confusion-rates.png", "confusion.png", "curves.png", "mistakes.png"]
    for name in names:
        with Image.open(run / "plots" / name) as image:
            assert min(image.size) > 400


def test_validation_split_is_that_of_training(tinysight, finished_run):
    epochs = [json.loads(line) for line in (finished_run / "history.jsonl").read_text().splitlines()]
    best = min(epochs, key=lambda epoch: epoch["val_loss"])
    outcome = tinysight("evaluate", finished_run, "--split", "validation")
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert outcome.code == 0
    assert (metrics["split"], metrics["n"]) == ("validation", 10)
    assert metrics["accuracy"] == pytest.approx(best["val_accuracy"])
    assert metrics["loss"] < best["val_loss"]  # the saved classifier was calibrated on these images
    assert metrics["accuracy_tta"] is None


@pytest.mark.parametrize(
    "name", ["summary.json", "recipe.toml", "environment.json", "history.jsonl", "model.json", "model.safetensors"]
)
def test_damaged_run_is_rejected_and_no_file_is_written(tinysight, finished_run, name):
    path = finished_run / name
    for content in (path.read_bytes()[:-2], b"", None):
        path.unlink() if content is None else path.write_bytes(content)
        assert str(path) in tinysight("evaluate", finished_run).refusal()
    assert not (finished_run / "metrics.json").exists()
    assert not (finished_run / "plots").exists()


def test_every_command_notes_skipped_images_once(tinysight, photos):
    shutil.copytree(photos, "pets")
    Path("pets/cat/99.png").touch()
    for command in (
        ("train", "strided", "--data", "pets", "--skip-unreadable", "--epochs", 1, "--out", "run"),
        ("evaluate", "run"),
        ("predict", "run", "--test-index", 0, "--test-index", 1),
        ("predict", "run", "--test-index", 0, "--json"),
    ):
        outcome = tinysight(*command)
        assert outcome.code == 0
        assert (outcome.out + outcome.err).count("1 of 41 image files in") == 1


def test_path_without_run_is_rejected(tinysight):
    assert tinysight("evaluate", "nowhere").refusal().startswith("nowhere: no run directory.")
    assert "summary.json: missing" in tinysight("evaluate", ".").refusal()


def test_unknown_split_is_rejected_with_valid_names(tinysight, finished_run):
    outcome = tinysight("evaluate", finished_run, "--split", "train")
    assert outcome.code == 2
    assert "test" in outcome.err
    assert "validation" in outcome.err


def test_coverage_of_sets_and_false_alarms_are_printed(tinysight, detecting, tmp_path):
    run = shutil.copytree(detecting, tmp_path / "run")
    out = " ".join(tinysight("evaluate", run).out.split())
    metrics = json.loads((run / "metrics.json").read_text())
    sets, unlike = metrics["prediction_sets"], metrics["unlike_training"]
    low, high = sets["coverage_ci95"]
    assert (
        f"prediction sets: {sets['coverage']:.1%} contain the true class (95% interval {low:.1%} to {high:.1%}), with "
        f"{sets['mean_size']:.2f} classes on average; lowest: "
    ) in out
    assert "Prediction sets were calibrated on 40 validation images. On average, they contain the true class for" in out
    low, high = unlike["share_ci95"]
    marked = f"marked as unlike the training images: {unlike['share']:.1%} (95% interval {low:.1%} to {high:.1%})"
    assert f'{marked} The mark "unlike the training images" was calibrated on 40 validation images.' in out
