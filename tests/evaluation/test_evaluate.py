"""Evaluating a run measures the classifier that was kept, on the images that were set aside."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from sklearn.metrics import accuracy_score, log_loss

from tinysight.data.load import load
from tinysight.errors import DataError, RunError
from tinysight.evaluation import images as module
from tinysight.evaluation.evaluate import evaluate
from tinysight.evaluation.images import images_of
from tinysight.runs.run import Run


@pytest.fixture
def run(finished_run):
    return Run(finished_run)


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """An evaluated run, and what the evaluation returned."""
    run = Run(Path(shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "run")))
    return run, evaluate(run, tta=True)


@pytest.fixture
def plotted(run, monkeypatch):
    """What an evaluation returned, and its plots by the names of their files, before they became pictures."""
    plots = {}

    def keep(figure, path):
        plots[path.stem] = figure

    monkeypatch.setattr("tinysight.evaluation.evaluate.save", keep)
    return evaluate(run), plots


def words(figure):
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def cells(figure):
    """What is written in which cell of a confusion matrix, as an array of text."""
    written = np.full((10, 10), "", dtype=object)
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        written[int(row), int(column)] = text.get_text()
    return written


def test_the_figures_are_those_of_the_kept_classifier_on_the_test_images(evaluated):
    run, metrics = evaluated
    classifier, test = run.classifier(), load("shapes:train=100,test=30").test
    probabilities = classifier.probabilities(test.pixels)
    assert metrics["accuracy"] == accuracy_score(test.labels, probabilities.argmax(1))
    assert metrics["loss"] == pytest.approx(log_loss(test.labels, probabilities, labels=range(10)), rel=1e-5)
    averaged = classifier.logits(test.pixels) + classifier.logits(test.pixels[..., ::-1].copy())
    assert metrics["accuracy_tta"] == accuracy_score(test.labels, averaged.argmax(1))


def test_the_predictions_that_are_kept_are_those_the_figures_come_from(evaluated):
    run, metrics = evaluated
    with np.load(run.path / "predictions.npz") as kept:
        assert kept["probabilities"].shape == (30, 10)
        assert metrics["accuracy"] == accuracy_score(kept["labels"], kept["probabilities"].argmax(1))


def test_metrics_json_holds_what_was_returned_as_json_that_any_reader_takes(evaluated):
    run, metrics = evaluated

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    written = json.loads((run.path / "metrics.json").read_text(), parse_constant=refuse)
    origin = {"recipe": "early-stopping", "dataset": "shapes", "remarks": list(run.summary().remarks)}
    assert {key: value for key, value in written.items() if "sha256" not in key} == metrics | origin == run.metrics()


def test_an_interrupted_run_is_evaluated_as_far_as_it_came(run):
    summary = run.summary()
    seal = run.write_history([])
    run.write_summary(summary.model_copy(update={"status": "interrupted", "epochs": 0, "history_sha256": seal}))
    assert evaluate(run)["n"] == 30
    assert (run.path / "plots" / "curves.png").is_file()


def test_images_that_changed_since_the_training_are_refused(run):
    environment = run.environment()
    dataset = environment.dataset.model_copy(update={"argument": "shapes:train=100,test=30,seed=1"})
    run.write_environment(environment.model_copy(update={"dataset": dataset}))
    with pytest.raises(DataError, match=r"these are not the images that .* was trained on"):
        images_of(run)


def test_the_split_of_an_altered_recipe_is_not_believed(run):
    """Otherwise images that were learned from could be taken for validation images."""
    path = run.path / "recipe.toml"
    path.write_text(path.read_text().replace("validation = 0.1", "validation = 0.5"))
    with pytest.raises(RunError, match=r"recipe\.toml was altered"):
        evaluate(run, "validation")
    assert not (run.path / "metrics.json").exists()


def test_one_confusion_matrix_shows_the_counts_and_the_other_the_rates(plotted):
    metrics, plots = plotted
    counts = np.array(metrics["confusion_matrix"])
    rates = 100 * counts / counts.sum(axis=1, keepdims=True)
    for name, unit, values, written in (
        ("confusion", "images", counts, "{}"),
        ("confusion-rates", "% of the true class", rates, "{:.1f}"),
    ):
        expected = [[written.format(value) if value else "" for value in row] for row in values]
        assert cells(plots[name]).tolist() == expected
        assert f"mistakes, {unit}" in words(plots[name]).splitlines()


def test_every_plot_says_what_it_is_of_and_what_a_reader_must_know_of_the_images(plotted, run):
    _, plots = plotted
    (remark,) = run.summary().remarks
    title = "early-stopping on shapes"
    of_images = f"{title}, test images (n = 30)"
    titles = dict.fromkeys(("confusion", "confusion-rates", "mistakes", "confidence"), of_images) | {"curves": title}
    assert set(plots) == set(titles)
    for name, figure in plots.items():
        lines = words(figure).splitlines()
        assert lines.count(titles[name]) == 1
        assert lines.count(remark) == 1


@pytest.mark.parametrize(
    ("lies_there", "asked", "expected"), [(True, None, "there"), (True, "here", "here"), (False, None, None)]
)
def test_cifar10_is_looked_for_where_it_lay_when_the_run_was_made(run, monkeypatch, lies_there, asked, expected):
    environment = run.environment()
    dataset = environment.dataset.model_copy(update={"data_dir": "there"})
    run.write_environment(environment.model_copy(update={"dataset": dataset}))
    looked = []
    monkeypatch.setattr(module.cifar10, "find", lambda folder: folder if lies_there else None)
    monkeypatch.setattr(module, "load", lambda name, size, data_dir, **_: looked.append(data_dir) or load(name, size))
    images_of(run, asked and Path(asked))

    assert looked == [expected and Path(expected)]
