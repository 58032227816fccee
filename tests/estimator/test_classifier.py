"""The classifier as scikit-learn knows them."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

import tinysight
from tinysight import ImageClassifier
from tinysight.data import shapes
from tinysight.errors import InputError, RunError
from tinysight.runs.run import Run

QUICK = {"recipe": "early-stopping", "epochs": 3, "precision": "fp32"}


@pytest.fixture(scope="module")
def images():
    """Two kinds of shapes, 60 of each, and what they are called."""
    drawn = shapes.draw(900, seed=0)
    chosen = np.concatenate([np.flatnonzero(drawn.labels == label)[:60] for label in (0, 1)])
    return drawn.pixels[chosen].transpose(0, 2, 3, 1), np.array(["round", "flat"])[drawn.labels[chosen]]


@pytest.fixture(scope="module")
def fitted(images):
    return ImageClassifier(**QUICK).fit(*images)


def test_it_learns(images, fitted):
    pixels, labels = images
    assert fitted.score(pixels, labels) > 0.7
    assert list(fitted.classes_) == ["flat", "round"]
    assert fitted.n_features_in_ == 3 * 32 * 32


def test_probabilities_are_those_of_its_answers(images, fitted):
    pixels, _ = images
    probabilities = fitted.predict_proba(pixels)
    assert probabilities.shape == (120, 2)
    assert probabilities.sum(1) == pytest.approx(1)
    assert np.array_equal(fitted.classes_[probabilities.argmax(1)], fitted.predict(pixels))


def test_labels_of_any_kind_come_back(images):
    pixels, labels = images
    numbers = np.where(labels == "flat", 7, -3)
    answers = ImageClassifier(**QUICK).fit(pixels, numbers).predict(pixels[:5])
    assert set(answers) <= {7, -3}
    assert answers.dtype == numbers.dtype


def test_the_same_seed_gives_the_same_classifier_and_another_one_another(images, fitted):
    pixels, labels = images
    again = clone(fitted).fit(pixels, labels)
    other = clone(fitted).set_params(random_state=1).fit(pixels, labels)
    assert np.array_equal(again.predict_proba(pixels), fitted.predict_proba(pixels))
    assert not np.array_equal(other.predict_proba(pixels), fitted.predict_proba(pixels))


def test_what_is_saved_is_loaded_and_is_a_run(images, fitted, tmp_path):
    pixels, _ = images
    path = fitted.save(tmp_path / "kept")
    loaded = ImageClassifier.load(path)
    assert np.array_equal(loaded.predict_proba(pixels), fitted.predict_proba(pixels))
    assert list(loaded.classes_) == list(fitted.classes_)
    assert Run.open(path).summary().status == "finished"
    with pytest.raises(RunError, match="exists already"):
        fitted.save(path)


def test_a_run_of_the_command_line_is_loaded(trained):
    drawn = shapes.draw(4, seed=2)
    assert ImageClassifier.load(trained).predict(drawn.pixels).shape == (4,)


def test_it_is_searched_and_cross_validated(images):
    pixels, labels = images
    scores = cross_val_score(ImageClassifier(**QUICK), pixels, labels, cv=2)
    assert scores.shape == (2,)
    search = GridSearchCV(ImageClassifier(**QUICK), {"epochs": [1, 2]}, cv=2).fit(pixels, labels)
    assert search.best_params_["epochs"] in (1, 2)


def test_parameters_are_what_was_given():
    given = {"recipe": "deep", "epochs": 3, "changes": ["data.image_size=16"], "tta": True, "random_state": 5}
    assert given.items() <= clone(ImageClassifier(**given)).get_params().items()


def test_it_is_not_pickled_once_it_has_learned(fitted):
    with pytest.raises(TypeError, match=r"keep it by save\(path\)"):
        pickle.dumps(fitted)
    assert pickle.loads(pickle.dumps(ImageClassifier(**QUICK))).epochs == 3


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_before_it_has_learned_it_says_so(method):
    with pytest.raises(NotFittedError, match="call fit"):
        getattr(ImageClassifier(), method)(np.zeros((1, 32, 32, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("parameters", "labels", "said"),
    [
        ({"recipe": "fast"}, ["a", "b"] * 60, "the network depends on the time budget"),
        ({"recipe": "depe"}, ["a", "b"] * 60, "Did you mean 'deep'"),
        ({**QUICK, "minutes": 1}, ["a", "b"] * 60, "both say how long"),
    ],
)
def test_what_cannot_be_learned_is_refused(images, parameters, labels, said):
    with pytest.raises(InputError, match=said):
        ImageClassifier(**parameters).fit(images[0], labels)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a"] * 120, "All images are of the class"),
        (["a", "b"], "inconsistent numbers of samples"),
        ([["a", "b"]] * 120, "should be a 1d array"),
        (np.linspace(0, 1, 120), "Unknown label type"),
    ],
)
def test_labels_that_are_none_are_refused_as_scikit_learn_does(images, labels, said):
    with pytest.raises(ValueError, match=said):
        ImageClassifier(**QUICK).fit(images[0], labels)


def test_public_names_are_there_and_no_others():
    assert all(hasattr(tinysight, name) for name in tinysight.__all__)
    assert set(tinysight.__all__) <= set(dir(tinysight))
    with pytest.raises(AttributeError, match="no attribute 'Classifyer'"):
        _ = tinysight.Classifyer


def test_importing_does_not_wait_for_torch():
    code = "import sys, tinysight; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
