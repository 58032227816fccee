"""HTML representations of datasets, runs, predictions and reports."""

import numpy as np
import pytest

from tinysight import ImageClassifier, Run, evaluate, load_dataset, predict, report
from tinysight.data.sources import shapes


@pytest.fixture
def run(finished_run):
    return Run(finished_run)


def test_dataset_html_has_counts_and_one_image_per_class():
    html = load_dataset("shapes:train=50,test=20")._repr_html_()
    assert "50 train, 20 test images of 32x32, 10 classes" in html
    assert html.count("<img") == 10


def test_run_html_has_status_and_accuracy(run):
    assert "not measured" in run._repr_html_()
    metrics = evaluate(run)
    assert f"{metrics.accuracy:.1%} of 30 test images" in run._repr_html_()
    assert "finished after 2 epochs" in run._repr_html_()


def test_predictions_html_has_images_with_their_top_classes(trained):
    classifier = ImageClassifier.load(trained)
    predictions = classifier.predict_details(shapes.render_shapes(60, seed=1).pixels)
    assert len(predictions) == 60
    assert list(predictions.labels) == list(classifier.predict(predictions.pixels))
    assert np.array_equal(predictions.unsure, predictions.probabilities.max(1) < predictions.abstain_below)
    html = predictions._repr_html_()
    assert html.count("<img") == 50
    assert "and 10 more" in html
    assert ("unsure" in html) == predictions.unsure[:50].any()


def test_predictions_have_sets(trained):
    classifier = ImageClassifier.load(trained)
    pixels = shapes.render_shapes(20, seed=1).pixels
    classifier.classifier_ = classifier.classifier_.with_spec(set_threshold=0.12)
    predictions = classifier.predict_details(pixels)
    in_set = predictions.probabilities >= np.float32(0.12)
    in_set[np.arange(20), predictions.probabilities.argmax(1)] = True
    assert np.array_equal(predictions.in_set, in_set)
    assert predictions._repr_html_().count("(95%)") == (in_set.sum(1) > 1).sum() > 0
    classifier.classifier_ = classifier.classifier_.with_spec(set_threshold=None)
    assert classifier.predict_details(pixels).in_set is None
    assert "(95%)" not in classifier.predict_details(pixels)._repr_html_()


def test_predictions_say_which_images_are_unlike_the_training_images(detecting):
    classifier = ImageClassifier.load(detecting)
    pixels = shapes.render_shapes(20, seed=1).pixels
    scores = classifier.classifier_.outputs(pixels).ood_scores
    threshold = float(np.sort(scores)[14])
    classifier.classifier_ = classifier.classifier_.with_spec(ood_threshold=threshold)
    predictions = classifier.predict_details(pixels)
    assert predictions.unlike_training.tolist() == (scores > threshold).tolist()
    assert predictions._repr_html_().count("unlike the training images") == 5
    assert ", 5 unlike the training images; " in repr(predictions)
    other = predict(classifier.run_, list(np.moveaxis(pixels, 1, 3)))
    assert other.unlike_training.tolist() == (scores > classifier.run_.classifier().ood_threshold).tolist()


def test_without_a_detector_nothing_is_said_about_the_training_images(trained):
    predictions = ImageClassifier.load(trained).predict_details(shapes.render_shapes(5, seed=1).pixels)
    assert predictions.unlike_training is None
    assert "unlike" not in repr(predictions) + predictions._repr_html_()


def test_class_names_are_escaped(trained):
    classifier = ImageClassifier.load(trained)
    classifier.classes_ = np.array(["<script>"] * 10)
    assert "<script>" not in classifier.predict_details(shapes.render_shapes(1, seed=1).pixels)._repr_html_()


def test_report_html_is_a_sandboxed_iframe(run):
    evaluate(run)
    html = report(run)._repr_html_()
    assert html.startswith("<iframe sandbox srcdoc=")
    assert report(run).startswith("<!doctype html>")
