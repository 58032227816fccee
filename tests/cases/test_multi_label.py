"""Several labels per image, from a table to predictions; and commands that need one label per image."""

import csv
import json
import os
import shutil
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sklearn.metrics import average_precision_score, f1_score

import tinysight as ts
from tinysight._util.errors import DataError, InputError, ModelError
from tinysight.auditing.sections.corruption_robustness import CorruptionRobustness
from tinysight.auditing.sections.image_quality import ImageQualitySection
from tinysight.auditing.sections.near_duplicates import NearDuplicateSection
from tinysight.data.labels import describe_label, label_names
from tinysight.data.splits import split_dataset
from tinysight.evaluation.cross_validation import MultiLabelCrossValidation
from tinysight.runs.artifacts import RunArtifacts

os.environ.setdefault("KERAS_BACKEND", "torch")
NAMES = ("blue", "green", "red")
RECIPE = """
name = "tiny"
[data]
image_size = 16
validation_fraction = 0.2
[model]
architecture = "early-stopping"
[optimizer]
learning_rate = 0.003
[training]
epochs = 8
batch_size = 24
"""


def draw(labels, seed):
    """Return a noisy image whose quadrants show its labels."""
    pixels = np.random.default_rng(seed).integers(0, 110, (16, 16, 3), dtype=np.uint8)
    for name, (row, column, channel) in {"red": (0, 0, 0), "green": (0, 8, 1), "blue": (8, 0, 2)}.items():
        if name in labels:
            pixels[row : row + 8, column : column + 8, channel] += 90
    return Image.fromarray(pixels)


def write_table(folder, count, seed=0):
    """Write images of 0 to 3 labels, and a table that lists them; return its path."""
    (folder / "images").mkdir(parents=True)
    chosen = np.random.default_rng(seed).random((count, 3)) < 0.4
    rows = []
    for number, row in enumerate(chosen):
        labels = [name for name, has_label in zip(NAMES, row, strict=True) if has_label]
        draw(labels, [seed, number]).save(folder / "images" / f"{number}.png")
        rows.append((f"images/{number}.png", "|".join(labels)))
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "labels"), *rows])
    return folder / "table.csv"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("quadrants"), 150)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def run(table, recipe, tmp_path_factory):
    """An evaluated run; tests must not change it."""
    path = tmp_path_factory.mktemp("runs") / "run"
    run = ts.train(recipe, table, out=path, precision="fp32", device="cpu")
    ts.evaluate(run)
    return run


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    draw(["red", "blue"], 99).save(path)
    return path


def test_a_table_is_trained_on_evaluated_and_predicted(tinysight, table, recipe, image):
    trained = tinysight("train", recipe, "--data", table, "--out", "run", "--precision", "fp32", "--device", "cpu")
    assert "validation mean average precision" in trained.out
    assert "val mAP" in trained.err
    evaluated = tinysight("evaluate", "run")
    assert "test mean average precision (mAP):" in evaluated.out
    assert "highest F1 on 24 validation images" in evaluated.out
    assert evaluated.next == "tinysight audit run"
    predicted = tinysight("predict", "run", image, "--test-index", 0)
    first, second = predicted.out.splitlines()
    assert set(first.split(": ")[1].split()[::2]) == {"red", "blue"}
    assert "(labels: " in second


def test_metrics_are_those_of_the_stored_predictions(run):
    metrics = run.metrics()
    probabilities, labels = run.predictions()
    assert metrics.mean_average_precision == pytest.approx(average_precision_score(labels, probabilities))
    thresholds = [scores.threshold for scores in metrics.per_label.values()]
    assert thresholds == list(run.classifier().thresholds)
    assert metrics.macro.f1 == pytest.approx(f1_score(labels, probabilities >= np.array(thresholds), average="macro"))
    assert metrics.mean_average_precision > 0.9
    assert "mean average precision" in run._repr_html_()


def test_json_and_csv_list_the_labels(tinysight, run, table, image):
    document = json.loads(tinysight("predict", run.path, image, "--json").out)
    (prediction,) = document["predictions"]
    assert {label["class"] for label in prediction["labels"]} == {"red", "blue"}
    assert len(prediction["top"]) == 3
    assert "unsure" not in prediction
    assert prediction["unlike_training"] is False
    counted = tinysight("predict", run.path, table.parent / "images", "--output", "out.csv")
    assert counted.out.startswith("150 images: ")
    with open("out.csv", newline="") as file:
        rows = {row["input"].rpartition("/")[2]: row["labels"].split("|") for row in csv.DictReader(file)}
    with table.open(newline="") as file:
        true = {row["image"].rpartition("/")[2]: row["labels"].split("|") for row in csv.DictReader(file)}
    assert sum(set(rows[name]) == set(true[name]) for name in true) > 130


def test_parquet_files_list_the_labels(tinysight, run, table):
    parquet = pytest.importorskip("pyarrow.parquet")
    assert tinysight("predict", run.path, table.parent / "images", "--output", "out.parquet", "--workers", 1).code == 0
    rows = parquet.read_table("out.parquet").to_pylist()
    assert set(rows[0]) == {"input", "unlike_training", "labels", "top", "error"}
    marked = [row["unlike_training"] for row in rows]
    assert sum(marked) < 0.2 * len(rows)
    by_api = ts.predict(run, [row["input"] for row in rows])
    assert [{label["class"] for label in row["labels"]} for row in rows] == [set(labels) for labels in by_api.labels]
    assert np.mean(by_api.unlike_training == np.array(marked)) > 0.98  # a score may differ a little between batches


def test_predictions_in_python_are_sets_of_labels(run, image):
    predictions = ts.predict(run, [image, image])
    assert predictions.labels == [("blue", "red")] * 2
    assert predictions.indicators.tolist() == [[1, 0, 1]] * 2
    assert predictions.probabilities.shape == (2, 3)
    assert "blue, red" in predictions._repr_html_()
    assert repr(predictions) == "MultiLabelPredictions(2 images; blue: 2, green: 0, red: 2)"


def test_the_card_and_the_report_state_the_labels(run, tmp_path):
    card = ts.card(run, write=False)
    text = card.to_markdown()
    assert "any number of 3 labels: blue, green, red" in text
    assert "| label | average precision | recall | precision |" in text
    assert "highest F1 on 24 validation images" in text
    assert "unsure" not in text
    assert "| marked as unlike the training images |" in text
    assert "was calibrated on 24 validation images. On average, it is wrong for 5.0% of new images" in text
    assert card.metrics[0].value == run.metrics().mean_average_precision
    assert card.metrics[0].interval == run.metrics().mean_average_precision_ci95
    page = ts.report(run, out=tmp_path / "report.html")
    assert "Metrics by label" in page
    assert "Confusion matrix" not in page


def test_the_server_answers_with_labels(run, image):
    from tinysight.serving.app import create_app
    from tinysight.serving.served_model import ServedModel

    with TestClient(create_app(ServedModel(run))) as client:
        headers = {"Content-Type": "image/png"}
        answer = client.post("/predict?top=1&explain=true", content=image.read_bytes(), headers=headers).json()
        model = client.get("/model").json()
    assert {label["name"] for label in answer["labels"]} == {"red", "blue"}
    assert all(label["probability"] >= model["thresholds"][label["index"]] for label in answer["labels"])
    assert (len(answer["top"]), set(answer)) == (1, {"labels", "top", "unlike_training"})
    assert (model["task"], model["accuracy"]) == ("multi-label", None)
    assert model["mean_average_precision"] == run.metrics().mean_average_precision


@pytest.fixture(scope="module")
def images(table):
    """The paths of all images of the table, and their labels."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = [row["labels"].split("|") for row in rows]
    return [table.parent / row["image"] for row in rows], np.array([[name in row for name in NAMES] for row in chosen])


def test_an_onnx_file_gives_the_labels_of_the_run(tinysight, run, table, images):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = tinysight("export", run.path, "--to", "onnx", "labels.onnx")
    assert exported.next == "tinysight evaluate labels.onnx --data DIR"
    paths, labels = images
    by_run, by_file = (ts.predict(model, paths) for model in (run, "labels.onnx"))
    assert by_file.labels == by_run.labels
    np.testing.assert_allclose(by_file.probabilities, by_run.probabilities, atol=1e-4)
    metrics = ts.evaluate("labels.onnx", table)
    assert metrics.n == 150
    assert metrics.exact_match == (by_run.indicators == labels).all(1).mean()
    assert metrics.mean_average_precision == pytest.approx(average_precision_score(labels, by_run.probabilities))
    evaluated = tinysight("evaluate", "labels.onnx", "--data", table)
    assert "test mean average precision (mAP):" in evaluated.out
    assert "validation images" not in evaluated.out  # their number is not in the file
    predicted = tinysight("predict", "labels.onnx", paths[0])
    assert predicted.out == tinysight("predict", run.path, paths[0]).out
    assert predicted.next == "tinysight evaluate labels.onnx --data DIR"


def test_quantization_states_its_cost_in_mean_average_precision(tinysight, run, images):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = tinysight("export", run.path, "--to", "onnx", "labels.onnx", "--int8")
    assert "validation mean average precision: int8 " in exported.out
    assert "% (n = 24), float " in exported.out
    from tinysight.interop.onnx.runtime import OnnxFile

    cost = OnnxFile(Path("labels.onnx")).classifier().metadata.int8
    assert (cost.n_calibration, cost.n_validation, cost.measure) == (
        run.summary().train_images,
        24,
        "mean average precision",
    )
    assert cost.float_score == pytest.approx(run.summary().val_mean_average_precision)
    paths, labels = images
    assert f1_score(labels, ts.predict("labels.onnx", paths).indicators, average="macro") > 0.8


def test_each_label_of_an_image_is_explained_where_it_is(tinysight, run, image, tmp_path):
    pytest.importorskip("captum")
    draw([], 98).save(tmp_path / "empty.png")
    explanations = ts.explain(run, [image, tmp_path / "empty.png"], test_indices=[0], out=tmp_path / "why.png")
    assert [each.name for each in explanations[:3]] == ["image.png", "image.png", "empty.png"]
    assert {each.explained for each in explanations[:2]} == {"red", "blue"}
    for each in explanations[:2]:
        assert each.predicted_labels == tuple(name for name, _ in each.top_classes[:2])
        row, column = np.unravel_index(each.occlusion_map.argmax(), (16, 16))
        assert (row < 8, column < 8) == {"red": (True, True), "blue": (False, True)}[each.explained]
    assert (explanations[2].predicted_labels, explanations[2].explained) == ((), explanations[2].top_classes[0][0])
    dataset = ts.load_dataset(run.environment().dataset.argument, 16)
    assert explanations[3].label == describe_label(dataset.test.labels[0], NAMES)
    known = {describe_label(labels, NAMES) for labels in dataset.train.labels}
    assert {label for _, label in explanations[3].neighbors} <= known
    with Image.open(tmp_path / "why.png") as figure:
        assert figure.height > 264 * len(explanations)  # a row for each
    explained = tinysight("explain", run.path, image, "--out", "why.png")
    assert (explained.out, explained.next) == ("file: why.png\n", f"tinysight audit {run.path}")


def test_runs_are_compared_by_the_images_whose_labels_are_all_correct(tinysight, run, tmp_path):
    """The other run answers the first 20 images correctly, and on the others one of three labels wrongly."""
    other = ts.Run.open(shutil.copytree(run.path, tmp_path / "other"))
    probabilities, labels = run.predictions()
    flipped = labels.copy()
    flipped[20:, 1] = 1 - flipped[20:, 1]
    other.write_predictions(flipped.astype(np.float32), labels)
    correct = (probabilities >= np.array(run.classifier().thresholds)).astype(int) == labels
    comparison = ts.compare(run, other)
    assert comparison.measure == "exact match"
    (pair,) = comparison.comparisons
    only_run = correct.all(1) & (np.arange(len(labels)) >= 20)
    only_other = ~correct.all(1) & (np.arange(len(labels)) < 20)
    assert (pair.only_first, pair.only_second) == (only_run.sum(), only_other.sum())
    assert 0 < only_run.sum() < len(labels)
    assert pair.difference == pytest.approx(correct.all(1).mean() - 20 / len(labels))
    assert comparison.only_correct("run").tolist() == np.flatnonzero(only_run).tolist()
    compared = tinysight("compare", run.path, other.path)
    assert "Compared: exact match, the share of the images whose labels are all correct." in compared.out
    page = Path("compare.html").read_text()
    assert f"Only run is correct: {only_run.sum()} of {len(labels)} test images" in page
    first = np.flatnonzero(only_run)[0]
    assert f"<span>other: {describe_label(flipped[first], NAMES)}</span>" in page
    assert "<th>test exact match</th>" in page


@pytest.fixture(scope="module")
def splits(run):
    """The images of the run as it was trained, and the names of its training images by their labels."""
    dataset = ts.load_dataset(run.environment().dataset.argument, 16)
    split = split_dataset(dataset, run.recipe().data, run.environment().seed)
    names = [dataset.train.files[index] for index in split.train_indices]
    by_labels = defaultdict(list)
    for name, labels in zip(names, dataset.train.labels[split.train_indices], strict=True):
        by_labels[label_names(labels, NAMES)].append(name)
    return dataset, by_labels


def test_images_are_forgotten_with_a_record_of_the_labels(tinysight, run, splits):
    dataset, by_labels = splits
    forgotten = [by_labels["blue", "red"][0], by_labels[()][0], by_labels["blue",][0]]
    outcome = tinysight("forget", run.path, *forgotten, "--out", "after")
    assert outcome.code == 0
    after = ts.Run.open("after")
    record = RunArtifacts(after).unlearning()
    assert (record.task, record.forgotten) == ("multi-label", tuple(forgotten))
    assert (record.n_train_before - record.n_train_after, record.n_test) == (3, run.metrics().n)
    assert record.accuracy_before == run.metrics().exact_match
    assert record.accuracy_after == ts.evaluate(after).exact_match
    index_of = {name: index for index, name in enumerate(dataset.train.files)}
    first, _, third = (
        after.classifier().probabilities(dataset.train.pixels[[index_of[name] for name in forgotten]]).tolist()
    )
    measured = record.true_class_probability
    assert measured.forgotten_after == pytest.approx((first[0] + first[2] + third[0]) / 3, abs=1e-5)
    probabilities, labels = after.predictions()
    assert measured.unseen_after == pytest.approx(probabilities[:, [0, 2]][labels[:, [0, 2]] == 1].mean(), abs=1e-5)
    assert "Share of test images with all labels correct (n = " in outcome.out
    assert "Mean probability of the true labels on the forgotten images: " in outcome.out


def test_forgotten_images_without_labels_have_no_probability(run, splits, tmp_path):
    _, by_labels = splits
    after = ts.forget(run, by_labels[()][:1], out=tmp_path / "after")
    assert RunArtifacts(after).unlearning().true_class_probability is None
    assert "probability" not in (after.path / "unlearning.txt").read_text()


def test_folds_pool_the_predictions_of_all_images(tinysight, table, recipe, images):
    command = ("train", recipe, "--data", table, "--folds", 3, "--out", "cv", "--precision", "fp32", "--device", "cpu")
    outcome = tinysight(*command)
    assert outcome.code == 0
    result = MultiLabelCrossValidation.open("cv")
    with open("cv/out_of_fold.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result.n == 150
    fold_of = np.array([int(row["fold"]) for row in rows])
    labels, predicted = (
        np.array([[name in row[column].split("|") for name in NAMES] for row in rows]).astype(int)
        for column in ("labels", "predicted")
    )
    paths, expected = images
    true = {f"images/{path.name}": row.tolist() for path, row in zip(paths, expected, strict=True)}
    assert [true[row["image"]] for row in rows] == (labels == 1).tolist()
    probabilities = np.empty((150, 3))
    for number, fold in enumerate(result.folds, 1):
        run, part = ts.Run.open(f"cv/{fold.run}"), fold_of == number
        probabilities[part], stored = run.predictions()
        np.testing.assert_array_equal(stored, labels[part])
        assert (fold.n, fold.exact_match) == (part.sum(), run.metrics().exact_match)
        assert fold.mean_average_precision == pytest.approx(run.metrics().mean_average_precision)
    assert result.mean_average_precision == pytest.approx(average_precision_score(labels, probabilities))
    assert result.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert result.exact_match == (labels == predicted).all(1).mean()
    for value, (low, high) in (
        (result.mean_average_precision, result.mean_average_precision_ci95),
        (result.macro_f1, result.macro_f1_ci95),
        (result.exact_match, result.exact_match_ci95),
    ):
        assert low < value < high
    low, high = result.mean_average_precision_ci95
    printed = " ".join(outcome.out.split())
    assert (
        f"mean average precision: {result.mean_average_precision:.1%} (95% interval {low:.1%} to {high:.1%}, n = 150)"
        in printed
    )
    assert " ".join(result.method.split()) in printed


def test_a_label_in_fewer_images_than_folds_is_refused(table, recipe, tmp_path):
    with pytest.raises(DataError, match=r"^Class \w+: \d\d images, but 50 folds need 50\. Choose fewer folds\."):
        ts.cross_validate(recipe, ts.load_dataset(write_table(tmp_path / "few", 60), 16), folds=50, out=tmp_path / "cv")
    assert not (tmp_path / "cv").exists()


@pytest.mark.slow
def test_tuning_maximizes_the_mean_average_precision(tinysight, table, recipe):
    pytest.importorskip("optuna")
    options = ("--minutes", 0.3, "--epochs", 2, "--out", "study", "--seed", 1, "--precision", "fp32", "--device", "cpu")
    outcome = tinysight("tune", recipe, "--data", table, *options)
    assert outcome.code == 0
    trials = [json.loads(line) for line in Path("study/trials.jsonl").read_text().splitlines()]
    finished = [trial for trial in trials if trial["state"] == "finished"]
    best = max(trial["mean_average_precision"] for trial in finished if trial["reseed_of"] is None)
    assert "accuracy" not in finished[0]
    assert finished[0]["mean_average_precision"] == finished[0]["curve"][-1]
    assert f"validation mean average precision {best:.1%} after " in outcome.out
    settings = {"seed": 1, "epochs": finished[0]["epochs"], "precision": "fp32", "device": "cpu"}
    baseline = ts.train(recipe, table, out="run", **settings).summary()
    assert finished[0]["mean_average_precision"] == pytest.approx(baseline.val_mean_average_precision, abs=1e-6)
    assert baseline.val_mean_average_precision != pytest.approx(baseline.val_accuracy, abs=1e-3)


def test_an_audit_measures_what_needs_no_class(tinysight, run, table, tmp_path):
    audited = ts.Run.open(shutil.copytree(run.path, tmp_path / "audited"))
    outcome = tinysight("audit", audited.path)
    assert outcome.code == 0
    results, metrics = RunArtifacts(audited).audit(), run.metrics()
    assert set(results.sections) == {"robustness", "ood", "near_duplicates", "image_quality"}
    robustness = results.result(CorruptionRobustness())
    assert (robustness.n, robustness.measure) == (metrics.n, "mean average precision")
    assert robustness.clean_accuracy == pytest.approx(metrics.mean_average_precision)
    assert 0 < min(min(values) for values in robustness.accuracy.values()) < robustness.clean_accuracy
    duplicates = results.result(NearDuplicateSection())
    assert (duplicates.accuracy[0], duplicates.measure) == (metrics.exact_match, "exact match")
    printed = {
        heading: text.strip()
        for heading, _, text in (line.partition(":") for line in outcome.out.splitlines())
        if text.startswith(" ")
    }
    assert printed["corruption robustness"].startswith("mean mAP ")
    assert f"exact match {metrics.exact_match:.1%} without them" in printed["near-duplicates"]
    missing = "not measured: needs one class per image; "
    assert printed["subgroups"] == printed["groups"] == missing + "evaluate the images of each group alone"
    assert printed["label errors"].startswith(missing + "compare the labels with the predictions in out_of_fold.csv")
    assert printed["membership inference"].startswith(missing + "compare the losses of training and validation images")
    assert printed["membership inference"] in ts.card(audited, write=False).to_markdown()
    assert "Mean average precision on " in ts.report(audited, out=tmp_path / "report.html")
    groups = tmp_path / "groups.csv"
    groups.write_text("image,half\n")
    assert tinysight("audit", audited.path, "--groups", groups).refusal() == (
        f"{groups}: groups need one class per image. Leave them out, and evaluate each group alone."
    )


def test_identical_images_with_other_labels_are_named(recipe, tmp_path):
    random = np.random.default_rng(0)
    labels = (random.random((90, 3)) < 0.4).astype(int)
    chosen = [[name for name, value in zip(NAMES, row, strict=True) if value] for row in labels]
    images = np.stack([np.asarray(draw(names, [7, number])) for number, names in enumerate(chosen)])
    copy = next(number for number in range(1, 90) if chosen[number] != chosen[0])
    images[copy] = images[0]
    run = ts.train(recipe, (images, labels), out=tmp_path / "run", epochs=1, precision="fp32", device="cpu")
    quality = ts.audit(run, (images, labels)).result(ImageQualitySection())
    ((first, second),) = quality.conflicts
    classes = [str(index) for index in range(3)]
    expected = {", ".join(np.array(classes)[row == 1]) or "no label" for row in labels[[0, copy]]}
    assert {first.label, second.label} == expected


def test_other_images_may_lack_labels_but_not_have_others(run, tmp_path):
    table = write_table(tmp_path, 60, seed=1)
    assert ts.evaluate(run, table).n == 60
    table.write_text(table.read_text().replace("|green", "").replace("green|", "").replace("green", ""))
    metrics = ts.evaluate(run, table)
    assert "Labels that the dataset lacks are counted as absent from every image: green." in metrics.notes
    assert metrics.per_label["green"].support == 0
    table.write_text(table.read_text().replace("red", "purple"))
    with pytest.raises(DataError, match="has the classes blue, purple, but the classifier has blue, green, red"):
        ts.evaluate(run, table)


def test_one_label_per_image_does_not_fit_several(run, trained, table, photos):
    with pytest.raises(DataError, match="has one label per image, but the classifier was trained on several labels"):
        ts.evaluate(run, photos)
    with pytest.raises(DataError, match="has several labels per image, but the classifier was trained on one label"):
        ts.evaluate(trained, table)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised inside Keras
def test_an_import_with_several_labels_is_refused(run, table, tmp_path):
    pytest.importorskip("keras")
    model = ts.export(run, "keras", tmp_path / "keras") / "model.keras"
    with pytest.raises(InputError) as caught:
        ts.import_keras(model, dataset=table, out=tmp_path / "run")
    assert str(caught.value) == (
        "Import: does not support several labels per image. Pass images with one label each, or none."
    )
    with pytest.raises(ModelError, match="the model ends in one sigmoid per class, as for images with several labels"):
        ts.import_keras(model, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_copies_in_folders_are_refused(tinysight, run, image):
    result = tinysight("predict", run.path, image, "--sort-into", "sorted")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "error: --sort-into: does not support several labels per image. Write a table with --output OUT.csv instead.\n"
    )


def test_arrays_and_frames_of_indicators_are_labels(recipe, tmp_path):
    random = np.random.default_rng(0)
    labels = (random.random((90, 3)) < 0.4).astype(int)
    chosen = [[name for name, value in zip(NAMES, row, strict=True) if value] for row in labels]
    images = np.stack([np.asarray(draw(names, [7, number])) for number, names in enumerate(chosen)])
    dataset = ts.load_dataset((images, labels), 16)
    assert (dataset.task, dataset.class_names, len(dataset.train) + len(dataset.test)) == (
        "multi-label",
        ("0", "1", "2"),
        90,
    )
    classifier = ts.ImageClassifier(str(recipe), precision="fp32").fit(images, labels)
    predicted = classifier.predict(images)
    assert predicted.shape == classifier.predict_proba(images).shape == (90, 3)
    assert f1_score(labels, predicted, average="macro") > 0.7
    assert classifier.score(images, labels) == (predicted == labels).all(1).mean()
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert classifier.predict_details(images[:1]).labels == [tuple(np.flatnonzero(predicted[0]))]
    again = ts.ImageClassifier.load(classifier.save(tmp_path / "saved"))
    np.testing.assert_array_equal(again.predict(images), predicted)
    with pytest.raises(InputError, match="class_weight: does not support several labels per image"):
        ts.ImageClassifier(str(recipe), class_weight="balanced").fit(images, labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1, 0]] * 5, r"shape \(5, 2\) for 6 images"),
        ([[1, 2]] * 6, "holds other values than 0 and 1"),
        ([[1, 0]] * 6, "no image has the label '1'"),
        ([["a"], ["a", "b"]] * 3, "its rows have different lengths"),
    ],
)
def test_wrong_indicators_are_one_clear_sentence(labels, message):
    with pytest.raises(DataError, match=message):
        ts.load_dataset((np.zeros((6, 8, 8, 3), np.uint8), labels), 8)


def test_a_contact_sheet_and_a_display_show_every_label(table):
    from tinysight.data.display import captioned_image, contact_sheet

    dataset = ts.load_dataset(table, 16)
    assert contact_sheet(dataset).size[1] > 200
    assert captioned_image(dataset, 0, "train").width > 100
    assert dataset._repr_html_().count("<img") == 3
    assert replace(dataset.without_test(), name="x").task == "multi-label"
