"""Evaluation of runs: metrics, saved predictions, plots and datasets."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from sklearn.metrics import accuracy_score, log_loss

from tinysight._util.errors import DataError, InputError, RunError
from tinysight.data.dataset import Split
from tinysight.data.load import load
from tinysight.data.splits import split_dataset
from tinysight.evaluation.confidence_intervals import wilson_interval
from tinysight.evaluation.evaluate import evaluate, evaluate_classifier, select_split
from tinysight.reporting.evaluation_plots import plot_evaluation
from tinysight.runs import run_dataset as module
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import match_classes, open_dataset


@pytest.fixture
def run(finished_run):
    return Run(finished_run)


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """An evaluated run and its metrics."""
    run = Run(Path(shutil.copytree(trained, tmp_path_factory.mktemp("evaluated") / "run")))
    return run, evaluate(run, tta=True)


@pytest.fixture
def plotted(run, monkeypatch):
    """Metrics of an evaluation and its matplotlib figures by file name."""
    plots = {}

    def keep(figure, path):
        plots[path.stem] = figure

    monkeypatch.setattr("tinysight.reporting.evaluation_plots.save", keep)
    metrics = evaluate(run)
    plot_evaluation(run, open_dataset(run))
    return metrics, plots


def words(figure):
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def cells(figure):
    """Return the texts of the cells of a confusion matrix, (10, 10)."""
    texts = np.full((10, 10), "", dtype=object)
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        texts[int(row), int(column)] = text.get_text()
    return texts


def test_metrics_are_those_of_saved_classifier_on_test_images(evaluated):
    run, metrics = evaluated
    classifier, test = run.classifier(), load("shapes:train=100,test=30").test
    probabilities = classifier.probabilities(test.pixels)
    assert metrics.accuracy == accuracy_score(test.labels, probabilities.argmax(1))
    assert metrics.loss == pytest.approx(log_loss(test.labels, probabilities, labels=range(10)), rel=1e-5)
    averaged = classifier.logits(test.pixels) + classifier.logits(test.pixels[..., ::-1].copy())
    assert metrics.accuracy_tta == accuracy_score(test.labels, averaged.argmax(1))


def test_saved_predictions_reproduce_metrics(evaluated):
    run, metrics = evaluated
    with np.load(run.path / "predictions.npz") as arrays:
        assert arrays["probabilities"].shape == (30, 10)
        assert metrics.accuracy == accuracy_score(arrays["labels"], arrays["probabilities"].argmax(1))


def test_metrics_json_equals_returned_metrics_and_is_standard_json(evaluated):
    run, metrics = evaluated

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    written = json.loads((run.path / "metrics.json").read_text(), parse_constant=refuse)
    assert written.pop("sha256")
    assert written == metrics.model_dump(mode="json")
    assert metrics == run.metrics()
    assert (metrics.recipe, metrics.dataset, metrics.notes) == ("early-stopping", "shapes", run.summary().notes)
    assert metrics.weights_sha256 == run.weights_checksum()


def test_interrupted_run_can_be_evaluated(run):
    summary = run.summary()
    checksum = run.write_history([])
    run.write_summary(summary.model_copy(update={"status": "interrupted", "epochs": 0, "history_sha256": checksum}))
    assert evaluate(run).n == 30
    plot_evaluation(run, open_dataset(run))
    assert (run.path / "plots" / "curves.png").is_file()


def test_changed_dataset_is_rejected(run):
    environment = run.environment()
    dataset = environment.dataset.model_copy(update={"argument": "shapes:train=100,test=30,seed=1"})
    run.write_environment(environment.model_copy(update={"dataset": dataset}))
    with pytest.raises(DataError, match=r"not the images that .* was trained on"):
        open_dataset(run)


def test_edited_recipe_cannot_change_validation_split(run):
    """Otherwise training images could be evaluated as validation images."""
    path = run.path / "recipe.toml"
    path.write_text(path.read_text().replace("validation_fraction = 0.1", "validation_fraction = 0.5"))
    with pytest.raises(RunError, match=r"recipe\.toml: modified"):
        evaluate(run, split="validation")
    assert not (run.path / "metrics.json").exists()


def test_confusion_plots_show_counts_and_rates(plotted):
    metrics, plots = plotted
    counts = np.array(metrics.confusion_matrix)
    rates = 100 * counts / counts.sum(axis=1, keepdims=True)
    for name, unit, values, cell_format in (
        ("confusion", "images", counts, "{}"),
        ("confusion-rates", "% of the true class", rates, "{:.1f}"),
    ):
        expected = [[cell_format.format(value) if value else "" for value in row] for row in values]
        assert cells(plots[name]).tolist() == expected
        assert f"mistakes, {unit}" in words(plots[name]).splitlines()


def test_every_plot_has_title_and_dataset_note(plotted, run):
    _, plots = plotted
    (note,) = run.summary().notes
    title = "early-stopping on shapes"
    of_images = f"{title}, test images (n = 30)"
    titles = dict.fromkeys(("confusion", "confusion-rates", "mistakes", "confidence"), of_images) | {"curves": title}
    assert set(plots) == set(titles)
    for name, figure in plots.items():
        lines = words(figure).splitlines()
        assert lines.count(titles[name]) == 1
        assert lines.count(note) == 1


@pytest.mark.parametrize(
    ("exists", "requested", "expected"), [(True, None, "there"), (True, "here", "here"), (False, None, None)]
)
def test_cifar10_is_loaded_from_recorded_folder(run, monkeypatch, exists, requested, expected):
    environment = run.environment()
    dataset = environment.dataset.model_copy(update={"data_dir": "there"})
    run.write_environment(environment.model_copy(update={"dataset": dataset}))
    folders = []
    monkeypatch.setattr(module.cifar10, "find", lambda folder: folder if exists else None)
    monkeypatch.setattr(module, "load", lambda name, size, data_dir, **_: folders.append(data_dir) or load(name, size))
    open_dataset(run, data_dir=requested and Path(requested))

    assert folders == [expected and Path(expected)]


def test_given_dataset_of_the_run_is_not_loaded_again(run, monkeypatch):
    dataset = open_dataset(run)
    monkeypatch.setattr(module, "load", lambda *_, **__: pytest.fail("the dataset was loaded again"))
    assert open_dataset(run, dataset) is dataset
    assert evaluate(run, dataset) == run.metrics()


def test_given_dataset_of_another_run_is_rejected(run):
    other = load("shapes:train=100,test=30,seed=1", 32)
    with pytest.raises(DataError, match=r"not the images that .* was trained on"):
        open_dataset(run, other)


def test_other_dataset_is_evaluated_without_replacing_the_metrics_of_the_run(run):
    own, other = evaluate(run), load("shapes:train=20,test=50,seed=1", 32)
    files = {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    metrics = evaluate(run, other)
    probabilities = run.classifier().probabilities(other.test.pixels)
    assert metrics.n == 50
    assert metrics.accuracy == accuracy_score(other.test.labels, probabilities.argmax(1))
    assert run.metrics() == own != metrics
    assert {path: path.read_bytes() for path in run.path.iterdir() if path.is_file()} == files


def test_validation_split_of_other_dataset_must_exist(run):
    other = load("shapes:train=100,test=30,seed=1", 32)
    with pytest.raises(InputError, match=r"has no validation split\. Evaluate on its test split"):
        evaluate(run, other, split="validation")
    with_validation = replace(other, validation=other.test)
    assert evaluate(run, with_validation, split="validation").n == 30


def test_other_dataset_must_have_the_classes_and_the_image_size_of_the_run(run):
    other = load("shapes:train=100,test=30", 32)
    with pytest.raises(DataError, match="Use a dataset with the same classes"):
        evaluate(run, replace(other, class_names=(*other.class_names[:-1], "unknown")))
    with pytest.raises(DataError, match=r"images of 16 x 16 pixels, but the classifier takes 32 x 32"):
        evaluate(run, load("shapes:train=100,test=30", 16))


def test_classes_of_other_dataset_are_matched_by_name(run):
    other = load("shapes:train=20,test=50,seed=1", 32)
    expected = evaluate(run, other)
    order = np.arange(len(other.class_names))[::-1]
    test = replace(other.test, labels=order[other.test.labels])
    reordered = replace(other, class_names=other.class_names[::-1], test=test)
    assert evaluate(run, reordered).confusion_matrix == expected.confusion_matrix


def test_other_dataset_may_lack_classes(run):
    other = load("shapes:train=20,test=50,seed=1", 32)
    kept = other.test.labels < 3
    test = replace(other.test, pixels=other.test.pixels[kept], labels=other.test.labels[kept])
    train = replace(other.train, labels=other.train.labels % 3)
    metrics = evaluate(run, replace(other, class_names=other.class_names[:3], train=train, test=test))
    assert metrics.n == kept.sum()
    assert [sum(row) for row in metrics.confusion_matrix[3:]] == [0] * 7


def test_a_classifier_without_a_run_is_evaluated_on_the_test_images(run):
    dataset, classifier = load("shapes:train=20,test=40,seed=2", 32), run.classifier().with_spec(abstain_below=0.3)
    metrics = evaluate_classifier(classifier, dataset)
    probabilities = classifier.probabilities(dataset.test.pixels)
    assert (metrics.n, metrics.split) == (40, "test")
    assert metrics.accuracy == accuracy_score(dataset.test.labels, probabilities.argmax(1))
    assert metrics.selective.coverage == (probabilities.max(1) >= 0.3).mean()
    assert (metrics.recipe, metrics.dataset, metrics.weights_sha256) == (None, None, None)
    assert metrics.accuracy_tta is None
    assert not run.is_evaluated


def test_images_marked_as_unlike_the_training_images_are_counted(detecting, tmp_path):
    run = Run(Path(shutil.copytree(detecting, tmp_path / "run")))
    test, classifier = load("shapes:train=200,test=30").test, run.classifier()
    marked = int((classifier.outputs(test.pixels).ood_scores > classifier.ood_threshold).sum())
    unlike = evaluate(run).unlike_training
    assert (unlike.share, unlike.share_ci95) == (marked / 30, wilson_interval(marked, 30))
    assert (unlike.threshold, unlike.n_calibration) == (classifier.ood_threshold, 40)
    assert run.metrics().unlike_training == unlike
    noise = np.random.default_rng(0).integers(0, 256, test.pixels.shape, dtype=np.uint8)
    other = replace(load("shapes:train=20,test=30,seed=2", 32), test=Split(noise, test.labels))
    marked = int((classifier.outputs(noise).ood_scores > classifier.ood_threshold).sum())
    metrics = evaluate_classifier(classifier, other)
    assert (metrics.unlike_training.share, metrics.unlike_training.n_calibration) == (marked / 30, None)


def test_without_a_detector_no_images_are_marked(evaluated):
    assert evaluated[1].unlike_training is None


def test_a_dataset_whose_test_images_were_drawn_is_evaluated_as_a_whole(run):
    dataset = load("shapes:train=20,test=40,seed=2", 32)
    part = Split(dataset.train.pixels[:7], dataset.train.labels[:7])
    drawn = replace(dataset, validation=part, has_drawn_test=True)
    labels = np.concatenate([drawn.train.labels, part.labels, drawn.test.labels])
    for metrics in (evaluate(run, drawn), evaluate_classifier(run.classifier(), drawn)):
        assert metrics.n == 67
        assert [sum(row) for row in metrics.confusion_matrix] == np.bincount(labels, minlength=10).tolist()
    images = select_split(run, drawn, "test")
    assert np.array_equal(images.pixels, np.concatenate([drawn.train.pixels, part.pixels, drawn.test.pixels]))


def test_splits_of_the_own_dataset_are_those_of_the_training(run):
    dataset = open_dataset(run)
    validation = split_dataset(dataset, run.recipe().data, run.environment().seed).validation
    assert np.array_equal(select_split(run, dataset, "validation").pixels, validation.pixels)
    assert select_split(run, dataset, "test") is dataset.test


def test_labels_of_all_splits_are_matched_by_name(run):
    dataset, classifier = load("shapes:train=20,test=30,seed=1", 32), run.classifier()
    assert match_classes(dataset, classifier) is dataset
    names = classifier.class_names
    pair = replace(dataset, class_names=(names[7], names[2]))
    parts = {
        name: replace(dataset.test, labels=np.arange(30) % 2 if name == "test" else np.zeros(30, dtype=int))
        for name in ("train", "validation", "test")
    }
    matched = match_classes(replace(pair, **parts), classifier)
    assert matched.class_names == names
    assert matched.test.labels.tolist() == [7, 2] * 15
    assert set(matched.train.labels) == set(matched.validation.labels) == {7}
    assert match_classes(replace(pair, **parts | {"validation": None}), classifier).validation is None


def test_messages_of_refused_datasets_are_complete(run):
    dataset, classifier = load("shapes:train=20,test=30,seed=1", 32), run.classifier()
    names = ", ".join(classifier.class_names)
    with pytest.raises(DataError) as error:
        match_classes(replace(dataset, class_names=("cat", "dog")), classifier)
    assert str(error.value) == (
        f"{dataset.source}: has the classes cat, dog, but the classifier has {names}. "
        "Use a dataset with the same classes."
    )
    wide = replace(dataset, train=replace(dataset.train, pixels=dataset.train.pixels[:, :, :24]))
    with pytest.raises(DataError) as error:
        match_classes(wide, classifier)
    assert str(error.value) == (
        f"{dataset.source}: has images of 24 x 32 pixels, but the classifier takes 32 x 32. "
        "Load the dataset at that size."
    )
    with pytest.raises(InputError) as error:
        evaluate(run, dataset.without_test())
    assert str(error.value) == f"{dataset.source}: has no test split. Evaluate on its validation split."
