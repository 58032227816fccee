"""ImageClassifier follows the scikit-learn interface."""

import copy
import gc
import pickle
import re
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline

import tinysight
from tinysight import ImageClassifier
from tinysight._util.errors import InputError, RunError
from tinysight.data.sources import shapes
from tinysight.runs.run import Run

QUICK = {"recipe": "early-stopping", "epochs": 3, "precision": "fp32"}


@pytest.fixture(scope="module")
def images():
    """Images of two shape classes, 60 each, with string labels."""
    data = shapes.render_shapes(900, seed=0)
    indices = np.concatenate([np.flatnonzero(data.labels == label)[:60] for label in (0, 1)])
    return data.pixels[indices].transpose(0, 2, 3, 1), np.array(["round", "flat"])[data.labels[indices]]


@pytest.fixture(scope="module")
def fitted(images):
    return ImageClassifier(**QUICK).fit(*images)


def test_fit_learns(images, fitted):
    pixels, labels = images
    assert fitted.score(pixels, labels) > 0.7
    assert list(fitted.classes_) == ["flat", "round"]
    assert fitted.n_features_in_ == 3 * 32 * 32


def test_predictions_have_the_highest_probability(images, fitted):
    pixels, _ = images
    probabilities = fitted.predict_proba(pixels)
    assert probabilities.shape == (120, 2)
    assert probabilities.sum(1) == pytest.approx(1)
    assert np.array_equal(fitted.classes_[probabilities.argmax(1)], fitted.predict(pixels))


def test_predictions_have_the_dtype_of_the_labels(images):
    pixels, labels = images
    numbers = np.where(labels == "flat", 7, -3)
    predicted = ImageClassifier(**QUICK).fit(pixels, numbers).predict(pixels[:5])
    assert set(predicted) <= {7, -3}
    assert predicted.dtype == numbers.dtype


def test_predictions_depend_on_the_seed_only(images, fitted):
    pixels, labels = images
    again = clone(fitted).fit(pixels, labels)
    other = clone(fitted).set_params(random_state=1).fit(pixels, labels)
    assert np.array_equal(again.predict_proba(pixels), fitted.predict_proba(pixels))
    assert not np.array_equal(other.predict_proba(pixels), fitted.predict_proba(pixels))


def test_save_and_load_round_trip(images, fitted, tmp_path):
    pixels, _ = images
    path = fitted.save(tmp_path / "saved")
    loaded = ImageClassifier.load(path)
    assert np.array_equal(loaded.predict_proba(pixels), fitted.predict_proba(pixels))
    assert list(loaded.classes_) == list(fitted.classes_)
    assert Run.open(path).summary().status == "finished"
    with pytest.raises(RunError, match="already exists"):
        fitted.save(path)


def test_loads_a_run_of_the_command_line(trained):
    data = shapes.render_shapes(4, seed=2)
    assert ImageClassifier.load(trained).predict(data.pixels).shape == (4,)


def test_grid_search_and_cross_validation(images):
    pixels, labels = images
    scores = cross_val_score(ImageClassifier(**QUICK), pixels, labels, cv=2)
    assert scores.shape == (2,)
    search = GridSearchCV(ImageClassifier(**QUICK), {"epochs": [1, 2]}, cv=2).fit(pixels, labels)
    assert search.best_params_["epochs"] in (1, 2)


def test_clone_keeps_the_parameters():
    classifier = ImageClassifier("deep", epochs=3, overrides=["data.image_size=16"], tta=True, random_state=5)
    cloned = clone(classifier)
    assert (cloned.recipe, cloned.epochs, cloned.overrides) == ("deep", 3, ["data.image_size=16"])
    assert (cloned.tta, cloned.random_state) == (True, 5)
    assert cloned.get_params() == classifier.get_params()


@pytest.mark.parametrize("duplicate", [lambda fitted: pickle.loads(pickle.dumps(fitted)), copy.deepcopy])
def test_a_copy_is_independent_of_the_original(images, duplicate):
    pixels, labels = images
    original = ImageClassifier(**QUICK).fit(pixels[::2], labels[::2])
    expected = original.predict_proba(pixels)
    duplicated = duplicate(original)
    assert duplicated.run_.path != original.run_.path
    assert duplicated.get_params() == original.get_params()
    assert duplicated.history_ == original.history_
    del original
    gc.collect()  # removes the directory of the original
    assert np.array_equal(duplicated.predict_proba(pixels), expected)
    assert duplicated.run_.summary().status == "finished"


def test_an_unfitted_classifier_can_be_pickled():
    assert pickle.loads(pickle.dumps(ImageClassifier(**QUICK))).epochs == 3


def test_a_pickle_of_altered_files_is_refused(fitted):
    state = fitted.__getstate__()
    state["run_files"]["model.safetensors"] = state["run_files"]["model.safetensors"][:-1]
    with pytest.raises(RunError, match=r"model\.safetensors"):
        ImageClassifier().__setstate__(state)


def test_joblib_stores_a_fitted_classifier(images, fitted, tmp_path):
    joblib.dump(fitted, tmp_path / "classifier.joblib")
    loaded = joblib.load(tmp_path / "classifier.joblib")
    assert np.array_equal(loaded.predict_proba(images[0]), fitted.predict_proba(images[0]))


def test_cross_validation_returns_fitted_classifiers_from_other_processes(images):
    pixels, labels = images
    scores = cross_validate(ImageClassifier(**QUICK), pixels, labels, cv=2, n_jobs=2, return_estimator=True)
    assert [estimator.score(pixels, labels) for estimator in scores["estimator"]] > [0.5, 0.5]


def test_history_has_one_entry_per_epoch(fitted):
    assert [epoch["epoch"] for epoch in fitted.history_] == [1, 2, 3]
    assert fitted.history_[-1]["val_accuracy"] == fitted.run_.history()[-1].val_accuracy


def test_network_is_the_module_that_predicts(images, fitted):
    batch = torch.from_numpy(images[0][:4].transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        logits = fitted.network_(fitted.classifier_.spec.normalization(batch))
    assert list(logits.argmax(1)) == [list(fitted.classes_).index(label) for label in fitted.predict(images[0][:4])]


def test_log_probabilities(images, fitted):
    pixels, _ = images
    assert np.exp(fitted.predict_log_proba(pixels)) == pytest.approx(fitted.predict_proba(pixels))


@pytest.mark.parametrize("names", [("round", "flat"), (10, 9), (True, False), (1.0, 2.0)])
def test_labels_keep_their_type_in_a_saved_classifier(images, names, tmp_path):
    pixels, labels = images[0][::4], np.array(names)[(images[1][::4] == "flat").astype(int)]
    fitted = ImageClassifier("early-stopping", epochs=1).fit(pixels, labels)
    loaded = ImageClassifier.load(fitted.save(tmp_path / "run"))
    assert loaded.classes_.dtype == fitted.classes_.dtype
    assert np.array_equal(loaded.predict(pixels), fitted.predict(pixels))


def test_equal_weights_change_nothing(images, fitted):
    pixels, labels = images
    weighted = ImageClassifier(**QUICK).fit(pixels, labels, sample_weight=np.full(120, 3.0))
    assert weighted.predict_proba(pixels) == pytest.approx(fitted.predict_proba(pixels), abs=1e-4)


def test_labels_of_images_of_weight_zero_do_not_matter(images):
    pixels, labels = images
    ignored = np.arange(120) % 3 == 0
    wrong = np.where(ignored, np.where(labels == "flat", "round", "flat"), labels)

    def probabilities(targets, weights):
        classifier = ImageClassifier("early-stopping", epochs=1, precision="fp32")
        classifier.fit(pixels, targets, sample_weight=weights, validation_data=(pixels, labels))
        return classifier.predict_proba(pixels)

    assert np.array_equal(probabilities(wrong, 1.0 - ignored), probabilities(labels, 1.0 - ignored))
    assert not np.array_equal(probabilities(wrong, None), probabilities(labels, None))


def test_class_weights_shift_the_predictions(images):
    pixels, labels = images

    def share_of_flat(class_weight):
        classifier = ImageClassifier(**QUICK, class_weight=class_weight).fit(pixels, labels)
        return classifier.predict_proba(pixels)[:, 0].mean()

    equal, balanced = share_of_flat(None), share_of_flat("balanced")
    assert balanced == pytest.approx(equal, abs=1e-4)  # the classes are of the same size
    assert share_of_flat({"flat": 9.0, "round": 1.0}) > equal + 0.1 > share_of_flat({"flat": 1.0, "round": 9.0})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_weight": [1.0] * 119}, "sample_weight"),
        ({"sample_weight": [-1.0] * 120}, "[Nn]egative"),
        ({"sample_weight": [0.0] * 120}, "all weights are 0|non-zero"),
        ({"validation_data": (np.zeros((1, 32, 32, 3), np.uint8), ["square"])}, "the label 'square' is not in y"),
        ({"validation_data": ([], [])}, "there are no images"),
    ],
)
def test_invalid_options_of_fit_are_value_errors(images, options, message):
    with pytest.raises(ValueError, match=message):
        ImageClassifier(**QUICK).fit(*images, **options)


def test_validation_data_is_validated_on(images):
    pixels, labels = images
    swapped = np.where(labels == "flat", "round", "flat")
    classifier = ImageClassifier(**QUICK).fit(pixels, labels, validation_data=(pixels, swapped))
    validated = [epoch["val_accuracy"] for epoch in classifier.history_]
    assert 1 - classifier.score(pixels, labels) in [pytest.approx(accuracy) for accuracy in validated]
    whole = ImageClassifier(**QUICK).fit(pixels, labels)
    assert not np.array_equal(whole.predict_proba(pixels), classifier.predict_proba(pixels))


def test_warm_start_continues_from_the_previous_weights(images):
    pixels, labels = images
    warm = ImageClassifier("early-stopping", epochs=2, precision="fp32", warm_start=True)
    first_losses = [epoch["loss"] for epoch in warm.fit(pixels, labels).history_]
    second_losses = [epoch["loss"] for epoch in warm.fit(pixels, labels).history_]
    assert second_losses[0] < first_losses[0] - 0.02
    cold = ImageClassifier("early-stopping", epochs=2, precision="fp32").fit(pixels, labels)
    assert [epoch["loss"] for epoch in cold.fit(pixels, labels).history_] == first_losses
    with pytest.raises(ValueError, match="differ from those of the previous fit"):
        warm.fit(pixels, labels == "flat")


def test_embeddings_are_similar_within_a_class(images, fitted):
    pixels, labels = images
    embeddings = fitted.transform(pixels)
    assert embeddings.shape == (120, len(fitted.get_feature_names_out()))
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(1, abs=1e-4)
    similarity = embeddings @ embeddings.T
    same = labels[:, None] == labels[None, :]
    assert similarity[same].mean() > similarity[~same].mean()


def test_embeddings_feed_another_estimator(images):
    pixels, labels = images
    pipeline = make_pipeline(ImageClassifier(**QUICK), LogisticRegression())
    assert pipeline.fit(pixels, labels).score(pixels, labels) > 0.7


def test_a_single_image_is_a_value_error(images, fitted):
    with pytest.raises(ValueError, match=re.escape("Pass X[None]")):
        fitted.predict(images[0][0])


def test_fits_and_predicts_a_column_of_paths(photos):
    paths = sorted(photos.rglob("*.png"))
    table = pd.DataFrame({"path": [str(path) for path in paths], "label": [path.parent.name for path in paths]})
    classifier = ImageClassifier("early-stopping", epochs=1).fit(table.path, table.label)
    assert np.array_equal(classifier.predict_proba(table.path), classifier.predict_proba(paths))
    assert np.array_equal(classifier.predict_proba(np.array(paths)), classifier.predict_proba(paths))


def test_random_states_have_the_meaning_of_scikit_learn(images):
    pixels, labels = images[0][::4], images[1][::4]

    def probabilities(random_state, fits=1):
        classifier = ImageClassifier("early-stopping", epochs=1, precision="fp32", random_state=random_state)
        return [classifier.fit(pixels, labels).predict_proba(pixels) for _ in range(fits)]

    first, second = probabilities(np.random.RandomState(5), fits=2)
    assert not np.array_equal(first, second)  # each fit draws from the state
    assert np.array_equal(first, probabilities(np.random.RandomState(5))[0])
    assert np.array_equal(*probabilities(np.int64(7), fits=2))
    assert not np.array_equal(*probabilities(None, fits=2))


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_unfitted_classifier_raises(method):
    with pytest.raises(NotFittedError, match=r"not fitted yet\. Call fit"):
        getattr(ImageClassifier(), method)(np.zeros((1, 32, 32, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("parameters", "labels", "message"),
    [
        ({"recipe": "fast"}, ["a", "b"] * 60, "the network depends on the time budget"),
        ({"recipe": "depe"}, ["a", "b"] * 60, "Did you mean 'deep'"),
        ({**QUICK, "minutes": 1}, ["a", "b"] * 60, "both set the training length"),
    ],
)
def test_invalid_recipes_are_rejected(images, parameters, labels, message):
    with pytest.raises(InputError, match=message):
        ImageClassifier(**parameters).fit(images[0], labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 120, "it has the single class"),
        (["a", "b"], "inconsistent numbers of samples"),
        ([["a", "b"]] * 120, "should be a 1d array"),
        (np.linspace(0, 1, 120), "Unknown label type"),
    ],
)
def test_invalid_labels_raise_like_scikit_learn(images, labels, message):
    with pytest.raises(ValueError, match=message):
        ImageClassifier(**QUICK).fit(images[0], labels)


def test_public_names_exist():
    assert all(hasattr(tinysight, name) for name in tinysight.__all__)
    assert set(tinysight.__all__) <= set(dir(tinysight))
    with pytest.raises(AttributeError, match="no attribute 'Classifyer'"):
        _ = tinysight.Classifyer


def test_import_does_not_load_torch():
    code = "import sys, tinysight; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
