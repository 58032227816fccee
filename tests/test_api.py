"""The public functions: one per verb, for Python."""

import importlib.metadata
import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinysight as ts
from tinysight import api
from tinysight._util.errors import DataError, InputError, RunError
from tinysight.data.sources import shapes

SHAPES = "shapes:train=100,test=30"
QUICK = {"epochs": 1, "precision": "fp32"}


@pytest.fixture
def arrays():
    """Images of the shapes, (n, height, width, 3), and their names."""
    data = shapes.render_shapes(100, seed=0)
    return data.pixels.transpose(0, 2, 3, 1), np.array(shapes.CLASS_NAMES)[data.labels]


def read(file):
    with Image.open(file) as image:
        return np.asarray(image)


def test_all_public_names_are_there():
    assert set(ts.__all__) <= set(dir(ts))
    assert all(getattr(ts, name) is not None for name in ts.__all__)
    assert ts.__version__ == importlib.metadata.version("tinysight")


@pytest.mark.parametrize("name", [name for name in ts.__all__ if name.islower()])
def test_no_package_takes_the_name_of_a_function(name):
    """The import of a package `tinysight.audit` would replace the function of that name."""
    assert importlib.util.find_spec(f"tinysight.{name}") is None


def test_train_writes_a_run(tmp_path):
    run = ts.train("early-stopping", SHAPES, out=str(tmp_path / "run"), seed=3, **QUICK)
    assert isinstance(run, ts.Run)
    assert (run.summary().status, run.summary().epochs, run.environment().seed) == ("finished", 1, 3)
    assert run.environment().dataset.argument == SHAPES


def test_train_names_the_run_after_the_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [ts.train("early-stopping", SHAPES, **QUICK).path for _ in range(2)]
    assert paths == [Path("runs/early-stopping-1"), Path("runs/early-stopping-2")]


def test_a_path_trains_as_its_images_do(tmp_path, photos):
    options = {"overrides": ["data.image_size=32"], **QUICK}
    by_path = ts.train("early-stopping", photos, out=tmp_path / "path", **options)
    by_images = ts.train("early-stopping", ts.load_dataset(photos), out=tmp_path / "images", **options)
    assert by_path.weights_checksum() == by_images.weights_checksum()


def test_train_takes_a_recipe_object(tmp_path):
    from tinysight.recipes.loading import load_recipe

    recipe = load_recipe("early-stopping", ["training.epochs=1"])
    assert isinstance(recipe, ts.Recipe)
    run = ts.train(recipe, SHAPES, out=tmp_path / "run", precision="fp32")
    assert run.recipe() == recipe
    with pytest.raises(InputError, match="takes no overrides, epochs or minutes"):
        ts.train(recipe, SHAPES, out=tmp_path / "other", epochs=2)


def test_train_calls_back_after_every_epoch(tmp_path):
    epochs = []
    run = ts.train("early-stopping", SHAPES, out=tmp_path / "run", callbacks=[epochs.append], loggers=["csv"], **QUICK)
    assert epochs == run.history()
    assert len((run.path / "history.csv").read_text().splitlines()) == 1 + len(epochs)


def test_train_takes_images_and_labels(tmp_path, arrays):
    run = ts.train("early-stopping", arrays, out=tmp_path / "run", **QUICK)
    assert run.classifier().class_names == tuple(sorted(shapes.CLASS_NAMES))
    with pytest.raises(InputError, match="cannot share images in memory"):
        ts.train("early-stopping", arrays, out=tmp_path / "other", workers=2, **QUICK)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("depe",), {}, ts.TinysightError, "Did you mean 'deep'"),
        (("early-stopping", "no-such-folder"), {}, DataError, "no such dataset or folder"),
        (("early-stopping", 5), {}, DataError, "cannot be a int"),
        (("early-stopping",), {"resume": True}, InputError, "Pass its directory as `out`"),
        (("fast", SHAPES), {}, InputError, "the network depends on the time budget"),
    ],
)
def test_train_refuses_in_words_of_python(tmp_path, monkeypatch, arguments, options, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as refusal:
        ts.train(*arguments, **options)
    assert "--" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_evaluate_writes_metrics_and_plots(finished_run):
    metrics = ts.evaluate(str(finished_run))
    assert metrics.n == 30
    assert ts.Run.open(finished_run).metrics().accuracy == metrics.accuracy
    assert (finished_run / "plots" / "confusion.png").stat().st_size > 0


def test_evaluate_on_another_dataset_keeps_the_files_of_the_run(finished_run):
    metrics = ts.evaluate(finished_run, "shapes:train=20,test=50,seed=1")
    assert metrics.n == 50
    assert not (finished_run / "metrics.json").exists()
    assert not (finished_run / "plots").exists()
    assert ts.evaluate(finished_run, ts.load_dataset("shapes:train=100,test=30")) == ts.Run.open(finished_run).metrics()


def test_a_run_on_arrays_is_evaluated_and_audited_on_the_same_arrays(tmp_path, arrays, monkeypatch):
    run = ts.train("early-stopping", arrays, out=tmp_path / "run", **QUICK)
    with pytest.raises(
        DataError, match=r"was trained on images in memory, which are not saved with it\. Pass the same"
    ):
        ts.evaluate(run)
    assert ts.evaluate(run, arrays).n == 20  # a fifth is the test split
    assert run.metrics().n == 20
    assert "near_duplicates" in ts.audit(run, arrays, minutes=0.01).sections
    assert ts.report(run, arrays).startswith("<!doctype html>")
    images, labels = arrays
    with pytest.raises(DataError, match="not the images that"):
        ts.audit(run, (images[::-1], labels), minutes=0.01)
    assert len(ts.explain(run, test_indices=[0], dataset=arrays, out=tmp_path / "explained.png")) == 1
    (prediction,) = api.open_predictor(run, dataset=arrays).predict([], [0])
    assert prediction["input"] == "test[0]"


def test_another_dataset_is_measured_without_changing_the_run(finished_run, tmp_path):
    ts.evaluate(finished_run)
    before = (finished_run / "metrics.json").read_bytes()
    data = shapes.render_shapes(50, seed=9)
    folder = tmp_path / "others"
    for index, (pixels, label) in enumerate(zip(data.pixels, data.labels, strict=True)):
        path = folder / shapes.CLASS_NAMES[label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
    by_path, by_string = ts.evaluate(finished_run, folder), ts.evaluate(finished_run, str(folder))
    assert by_path.n == 50  # the whole folder, because it has no test split
    assert by_path == by_string
    names = np.array(shapes.CLASS_NAMES)[data.labels]
    assert by_path.accuracy == np.mean(ts.predict(finished_run, data.pixels).labels == names)
    assert (finished_run / "metrics.json").read_bytes() == before


def test_a_moved_folder_is_given_again(tmp_path, photos):
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    run = ts.train("early-stopping", folder, out=tmp_path / "run", **QUICK)
    accuracy = ts.evaluate(run).accuracy
    moved = folder.rename(tmp_path / "moved")
    with pytest.raises(DataError):
        ts.evaluate(run)
    assert ts.evaluate(run, moved).accuracy == accuracy
    assert len(ts.explain(run, test_indices=[0], dataset=moved)) == 1


def test_a_classifier_fitted_on_arrays_has_only_validation_images(arrays):
    classifier = ts.ImageClassifier("early-stopping", **QUICK).fit(*arrays)
    assert ts.evaluate(classifier.run_, arrays, split="validation").n == 10
    with pytest.raises(InputError, match=r"has no test split\. Evaluate on its validation split"):
        ts.evaluate(classifier.run_, arrays)
    with pytest.raises(DataError, match="has no test images, which audits and unlearning need"):
        ts.audit(classifier.run_, arrays)


def test_predict_takes_paths_and_arrays(trained, photos):
    files = sorted(photos.rglob("*.png"))[:3]
    by_path = ts.predict(trained, files)
    assert isinstance(by_path, ts.Predictions)
    by_array = ts.predict(trained, [read(file) for file in files])
    assert list(by_path.labels) == list(by_array.labels)
    assert by_path.probabilities == pytest.approx(by_array.probabilities, abs=1e-6)
    assert set(by_path.labels) <= set(shapes.CLASS_NAMES)
    with_tta = ts.predict(trained, files, tta=True)
    assert not np.array_equal(with_tta.probabilities, by_path.probabilities)
    with pytest.raises(InputError, match="a path, not a list"):
        ts.predict(trained, str(files[0]))


def test_predict_returns_labels_of_the_type_that_was_trained_on(tmp_path, arrays):
    images, names = arrays
    numbers = np.unique(names, return_inverse=True)[1] * 2 + 10
    run = ts.train("early-stopping", (images, numbers), out=tmp_path / "run", **QUICK)
    assert set(ts.predict(run, images).labels) <= set(numbers)


def test_objects_have_short_reprs(trained):
    dataset = ts.load_dataset(SHAPES)
    assert repr(dataset) == "Dataset('shapes', 100 train, 30 test images of 32x32, 10 classes)"
    assert repr(dataset.test) == "Split(30 images of 32x32)"
    run = ts.Run.open(str(trained))
    assert repr(run) == f"Run(path={trained!r})"
    parameters = sum(row.parameters for row in ts.summary(run))
    assert repr(run.classifier()) == (
        f"Classifier('early-stopping', {parameters:,} parameters, images of 32x32, 10 classes)"
    )
    text = repr(ts.predict(trained, shapes.render_shapes(12, seed=1).pixels))
    assert text.startswith("Predictions(12 images, ")
    assert len(text) < 100


def test_card_and_report_are_written_into_the_run(finished_run):
    assert ts.card(finished_run, write=False).dataset == "shapes"
    assert not (finished_run / "card.md").exists()
    assert ts.card(finished_run).to_markdown() == (finished_run / "card.md").read_text(encoding="utf-8")
    page = ts.report(finished_run)
    assert page == (finished_run / "report.html").read_text(encoding="utf-8")
    other = ts.report(finished_run, out=finished_run.with_name("page.html"))
    assert finished_run.with_name("page.html").read_text(encoding="utf-8") == other


def test_compare_returns_the_tests_and_writes_a_page(finished_run, tmp_path):
    other = ts.train("early-stopping", SHAPES, out=tmp_path / "other", **QUICK)
    ts.evaluate(finished_run)
    ts.evaluate(other)
    comparison = ts.compare(finished_run, other, out=str(tmp_path / "page.html"))
    (pair,) = comparison.comparisons
    assert (pair.first, pair.second) == ("run", "other")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(InputError, match="at least two runs"):
        ts.compare(other)


def test_forget_retrains_without_the_images(finished_run):
    run = ts.forget(finished_run, ["train/3"])
    assert run.path == finished_run.with_name("run-forgotten")
    assert run.weights_checksum() != ts.Run.open(finished_run).weights_checksum()


def test_preview_returns_the_grid_and_writes_files(tmp_path):
    grid = ts.preview("deep-augmented", SHAPES, images=2, copies=3, out=tmp_path / "grid.png", files=tmp_path / "files")
    with Image.open(tmp_path / "grid.png") as written:
        assert written.size == grid.size
    assert len(list((tmp_path / "files").iterdir())) == 6


def test_summary_is_the_same_for_a_recipe_and_its_run(trained):
    assert ts.summary("early-stopping", num_classes=10) == ts.summary(trained) == ts.summary(ts.Run.open(trained))


@pytest.mark.parametrize(
    "verb", [ts.evaluate, ts.card, ts.report, ts.summary, lambda path: ts.predict(path, ["cat.jpg"])]
)
def test_a_path_without_a_run_is_refused(verb, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"summary\.json: missing"):
        verb(tmp_path / "empty")
