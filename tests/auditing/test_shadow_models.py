"""Shadow models: trained on their half of the images, and evaluated on all."""

import numpy as np
import pytest

from tinysight.auditing.shadow_models import ShadowModel, ShadowModels, train_shadow_model
from tinysight.data.load import load
from tinysight.recipes import loading

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
