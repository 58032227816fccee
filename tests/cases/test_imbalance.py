"""Case B9: a rare class had a recall of 0 behind a high accuracy, and nothing said so."""

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, f1_score

import tinysight as ts

SIZES = {"common": 125, "other": 67, "rare": 8}  # of 200 images
BRIGHTNESS = {"common": 90, "other": 200, "rare": 103}  # with a deviation of 12: plain training never predicts "rare"


def images(random, label, n):
    brightness = BRIGHTNESS[label] + random.normal(0, 12, (n, 1, 1, 1))
    return np.clip(brightness + random.normal(0, 20, (n, 16, 16, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def imbalanced():
    """200 images for training and 3 x 20 for testing."""
    random = np.random.default_rng(0)
    train = np.concatenate([images(random, name, n) for name, n in SIZES.items()])
    test = np.concatenate([images(random, name, 20) for name in SIZES])
    return (train, np.repeat(list(SIZES), list(SIZES.values()))), (test, np.repeat(list(SIZES), 20))


def fit(imbalanced, *overrides, epochs=12, **options):
    settings = ["data.image_size=16", "early_stopping.patience=99", "early_stopping.monitor=val_balanced_accuracy"]
    classifier = ts.ImageClassifier(
        "early-stopping", epochs=epochs, overrides=[*settings, *overrides], precision="fp32", **options
    )
    return classifier.fit(*imbalanced[0], validation_data=imbalanced[1])


def scores_of(classifier, imbalanced):
    """The recall of the rare class, balanced accuracy and macro F1, computed by scikit-learn."""
    test, labels = imbalanced[1]
    predictions = classifier.predict(test)
    return (
        float((predictions[labels == "rare"] == "rare").mean()),
        balanced_accuracy_score(labels, predictions),
        f1_score(labels, predictions, average="macro"),
    )


@pytest.mark.parametrize("option", ["training.class_weight=balanced", "training.sampling=balanced"])
def test_plain_training_misses_the_rare_class_and_balancing_finds_it(imbalanced, option):
    plain, balanced = fit(imbalanced), fit(imbalanced, option)
    rare, accuracy, _ = scores_of(plain, imbalanced)
    assert rare == 0
    rare_balanced, accuracy_balanced, _ = scores_of(balanced, imbalanced)
    assert rare_balanced >= 0.2
    assert accuracy_balanced > accuracy + 0.03


def test_class_weights_of_the_recipe_equal_those_of_the_estimator(imbalanced):
    recipe = fit(imbalanced, "training.class_weight=balanced", epochs=1)
    argument = fit(imbalanced, epochs=1, class_weight="balanced")
    both = fit(imbalanced, "training.class_weight=balanced", epochs=1, class_weight="balanced")
    test = imbalanced[1][0]
    np.testing.assert_allclose(recipe.predict_proba(test), argument.predict_proba(test), atol=1e-4)
    np.testing.assert_array_equal(both.predict_proba(test), argument.predict_proba(test))


@pytest.mark.parametrize("monitor", ["val_balanced_accuracy", "val_macro_f1"])
def test_the_weights_of_the_best_epoch_by_the_monitored_metric_are_kept(imbalanced, monitor):
    classifier = fit(imbalanced, f"early_stopping.monitor={monitor}", "training.sampling=balanced", epochs=4)
    _, balanced_accuracy, macro_f1 = scores_of(classifier, imbalanced)
    kept = {"val_balanced_accuracy": balanced_accuracy, "val_macro_f1": macro_f1}[monitor]
    assert kept == pytest.approx(max(epoch[monitor] for epoch in classifier.history_))


@pytest.fixture
def folder_of_200(tmp_path, imbalanced):
    """The same images as files, with a test split."""
    for split, (pixels, labels) in zip(("train", "test"), imbalanced, strict=True):
        for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            (tmp_path / "data" / split / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / "data" / split / label / f"{number}.png")
    return tmp_path / "data"


def test_a_class_that_is_never_predicted_is_named_everywhere(folder_of_200, tmp_path, tinysight):
    run = tmp_path / "run"
    settings = ("--epochs", "2", "--precision", "fp32", "--set", "data.validation_fraction=0.25")
    trained = tinysight("train", "early-stopping", "--data", folder_of_200, "--out", run, *settings)
    warning = "Never predicted on the validation images: rare (2 images). If these classes are rare, train with "
    assert warning in " ".join(trained.err.split())
    summary = json.loads((run / "summary.json").read_text())
    baseline = summary["val_majority"]
    assert f"(n = {summary['val_images']}, " in trained.out
    assert (
        f"; always '{baseline['name']}' would be right for {baseline['accuracy']:.1%}), "
        f"balanced {summary['val_balanced_accuracy']:.1%} (always one class: 33.3%)"
    ) in trained.out
    assert summary["val_balanced_accuracy"] < summary["val_accuracy"]
    evaluated = tinysight("evaluate", run)
    warning = (
        "Never predicted on the test images: rare (20 images). If these classes are rare, train with "
        "training.class_weight=balanced or training.sampling=balanced."
    )
    assert warning in " ".join(evaluated.out.split())
    metrics = json.loads((run / "metrics.json").read_text())
    recalls = [scores["recall"] for scores in metrics["per_class"].values()]
    assert metrics["balanced_accuracy"] == pytest.approx(sum(recalls) / 3)
    low, high = metrics["intervals"]["balanced_accuracy"]
    assert f"balanced accuracy {metrics['balanced_accuracy']:.1%}, 95% interval {low:.1%} to {high:.1%}" in " ".join(
        evaluated.out.split()
    )
    assert warning in ts.card(ts.Run.open(run)).to_markdown().replace("\\", "")
    assert warning in str(ts.report(ts.Run.open(run)))
