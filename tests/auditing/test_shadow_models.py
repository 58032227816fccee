"""Shadow models: trained on their half of the images, and evaluated on all."""

import numpy as np
import pytest
from scipy.special import softmax

from tinysight.auditing.shadow_models import (
    MAX_VALIDATION,
    ShadowModel,
    ShadowModels,
    float32_logits,
    train_shadow_model,
    training_half,
)
from tinysight.data.load import load
from tinysight.recipes import loading
from tinysight.runs.run import Run

OVERFITTING = ["training.epochs=30", "early_stopping.patience=30", "training.batch_size=20"]


@pytest.fixture(scope="module")
def shadow():
    dataset = load("shapes:train=200,test=30")
    recipe = loading.load_recipe("early-stopping", OVERFITTING)
    return dataset, train_shadow_model(recipe, dataset, dataset.train, 0, seed=0, precision="fp32")


def test_accuracy_is_higher_on_its_training_half(shadow):
    dataset, model = shadow
    correct = model.logits.argmax(1) == dataset.train.labels
    assert model.in_mask.sum() == 100
    assert model.logits.shape == (200, 10)
    assert correct[model.in_mask].mean() > correct[~model.in_mask].mean() + 0.2


def test_the_same_seed_gives_the_same_shadow_model(shadow):
    dataset, model = shadow
    recipe = loading.load_recipe("early-stopping", OVERFITTING)
    again = train_shadow_model(recipe, dataset, dataset.train, 0, seed=0, precision="fp32")
    assert np.array_equal(again.logits, model.logits)


def test_out_of_fold_probabilities_exclude_models_trained_on_the_image():
    knows = np.array([[True, False], [False, True], [False, False]])
    logits = np.array([[[9.0, 0.0]] * 2, [[0.0, 9.0]] * 2, [[0.0, 9.0]] * 2], dtype=np.float32)
    shadows = ShadowModels.stack([ShadowModel(*pair) for pair in zip(knows, logits, strict=True)], np.array([0, 0]))
    probabilities = shadows.out_of_fold_probabilities()
    assert probabilities[0].round(2).tolist() == [0.0, 1.0]
    assert probabilities[1].round(2).tolist() == [0.5, 0.5]


def test_out_of_fold_probabilities_are_means_of_the_softmax():
    random = np.random.default_rng(0)
    in_mask, logits = np.stack([training_half(9, number, 0) for number in range(4)]), random.normal(size=(4, 9, 3))
    shadows = ShadowModels(in_mask, logits.astype(np.float32), np.zeros(9, dtype=int))
    for image, probabilities in enumerate(shadows.out_of_fold_probabilities()):
        held_out = [softmax(logits[model, image]) for model in range(4) if not in_mask[model, image]]
        assert len(held_out) == 2
        assert probabilities == pytest.approx(np.mean(held_out, axis=0), abs=1e-6)
    assert len(shadows) == 4


@pytest.mark.parametrize("n", [10, 11])
def test_each_image_is_in_the_training_half_of_every_second_model(n):
    halves = np.stack([training_half(n, number, seed=3) for number in range(6)])
    assert halves.sum(0).tolist() == [3] * n
    assert halves.sum(1).tolist() == [n // 2, n - n // 2] * 3
    assert not np.array_equal(halves[0], training_half(n, 0, seed=4))
    assert not np.array_equal(halves[0], halves[2])


def test_an_odd_shadow_model_differs_from_its_even_one_and_validates_on_the_other_half(shadow, monkeypatch):
    from tinysight.auditing import shadow_models

    received = []

    def record(recipe, dataset, images, seed, precision, network=None):
        received.append((images, seed))
        raise StopIteration

    monkeypatch.setattr(shadow_models, "build_trainer", record)
    dataset, _ = shadow
    for number in (0, 1):
        with pytest.raises(StopIteration):
            train_shadow_model(None, dataset, dataset.train, number, seed=0, precision="fp32")
    (first, first_seed), (second, second_seed) = received
    assert first_seed != second_seed
    assert sorted([*first.train_indices, *second.train_indices]) == list(range(200))
    assert np.array_equal(first.validation.labels, dataset.train.labels[second.train_indices])
    assert MAX_VALIDATION == 1000


def test_logits_of_an_audit_are_computed_in_float32(trained):
    classifier, test = Run(trained).classifier(), load("shapes:train=100,test=30").test
    in_bfloat16 = classifier.with_spec(bf16_margin=0.0)
    assert np.array_equal(float32_logits(in_bfloat16, test), float32_logits(classifier, test))
    assert float32_logits(classifier, test).dtype == np.float32
