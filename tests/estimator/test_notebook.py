"""What a notebook shows of datasets, runs, answers and reports."""

import numpy as np
import pytest

from tinysight import ImageClassifier, Run, evaluate, load_dataset, report
from tinysight.data import shapes


@pytest.fixture
def run(finished_run):
    return Run(finished_run)


def test_a_dataset_shows_its_counts_and_an_image_of_every_class():
    shown = load_dataset("shapes:train=50,test=20")._repr_html_()
    assert "50 train, 20 test images of 32x32, 10 classes" in shown
    assert shown.count("<img") == 10


def test_a_run_says_what_became_of_it_and_how_good_it_is(run):
    assert "not measured" in run._repr_html_()
    metrics = evaluate(run)
    assert f"{metrics['accuracy']:.2%} of 30 test images" in run._repr_html_()
    assert "finished after 2 epochs" in run._repr_html_()


def test_answers_show_every_image_with_its_likeliest_classes(trained):
    classifier = ImageClassifier.load(trained)
    answers = classifier.answers(shapes.draw(60, seed=1).pixels)
    assert len(answers) == 60
    assert list(answers.labels) == list(classifier.predict(answers.pixels))
    assert np.array_equal(answers.unsure, answers.probabilities.max(1) < answers.unsure_below)
    shown = answers._repr_html_()
    assert shown.count("<img") == 50
    assert "and 10 more" in shown
    assert ("unsure" in shown) == answers.unsure[:50].any()


def test_names_cannot_write_into_the_page(trained):
    classifier = ImageClassifier.load(trained)
    classifier.classes_ = np.array(["<script>"] * 10)
    assert "<script>" not in classifier.answers(shapes.draw(1, seed=1).pixels)._repr_html_()


def test_a_report_is_framed_and_can_run_nothing(run):
    evaluate(run)
    shown = report(run)._repr_html_()
    assert shown.startswith("<iframe sandbox srcdoc=")
    assert report(run).startswith("<!doctype html>")
