"""Heat maps: checked, not only drawn. They lie on what decides, and change with the weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from tinysight.data import shapes
from tinysight.explanation.heat import heat_maps
from tinysight.models.classifier import Classifier, Normalisation
from tinysight.models.registry import build
from tinysight.recipes import loading, shelf
from tinysight.recipes.schema import Model
from tinysight.training.fitting import fit
from tinysight.training.images import cut
from tinysight.training.trainer import Trainer

NETWORKS = [recipe.model for recipe in map(loading.load, shelf.shipped()) if not recipe.model.is_open]


def classifier_of(model, image_size=32, seed=0):
    torch.manual_seed(seed)
    return Classifier(model, build(model, 10, image_size), tuple("abcdefghij"), image_size, Normalisation())


@pytest.fixture(scope="module")
def pixels():
    return shapes.draw(6, seed=1).pixels


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: f"{model.architecture} {model.widths}")
def test_every_shipped_network_has_maps_as_large_as_the_images(model, pixels):
    heat = heat_maps(classifier_of(model), pixels, np.arange(6))
    assert heat.shape == (6, 32, 32)
    assert heat.min() >= 0
    assert {round(float(most), 5) for most in heat.max((1, 2))} <= {0.0, 1.0}


def test_larger_images_are_covered_by_larger_patches():
    pixels = shapes.draw(2, seed=1, size=64).pixels
    assert heat_maps(classifier_of(Model(architecture="early-stopping"), 64), pixels, np.arange(2)).shape == (2, 64, 64)


def test_no_images_have_no_maps(pixels):
    assert len(heat_maps(classifier_of(Model()), pixels[:0], np.arange(0))) == 0


class Corner(torch.nn.Module):
    """Says the first class the more surely, the brighter one pixel is."""

    def forward(self, images):
        bright = images[:, :, 6, 21].mean(1)
        return torch.stack([bright, torch.zeros_like(bright)], 1)


def test_the_place_that_decides_is_hot_and_no_other():
    """Of patches of 5 at every second pixel, those that cover (6, 21) reach from row 2 to 10 and column 17 to 25."""
    network = torch.nn.Sequential(Corner())
    classifier = Classifier(Model(), network, ("bright", "dark"), 32, Normalisation())
    pixels = np.full((2, 3, 32, 32), 50, dtype=np.uint8)
    pixels[0, :, 6, 21], pixels[1, :, 6, 21] = 250, 10
    bright, dark = heat_maps(classifier, pixels, np.array([0, 0]))
    rows, columns = np.nonzero(bright)
    assert bright[6, 21] == 1
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 10, 18, 24)
    assert dark.max() == 0  # it speaks for the other class
    assert heat_maps(classifier, pixels[1:], np.array([1]))[0, 6, 21] == 1


@pytest.mark.parametrize(("name", "epochs"), [("fast-73", 6), ("early-stopping", 8)])
def test_they_lie_on_the_shape_and_change_with_the_weights(name, epochs):
    """Both figures are those of benchmarks/explanation.py, which measures them on larger networks as well."""
    dataset, planted = shapes.make(train=3000, test=200)
    recipe = loading.load(name, [f"training.epochs={epochs}", "training.batch_size=125"])
    classifier = fit(Trainer(recipe, dataset, cut(dataset, recipe.data, 0), 0, "fp32"))
    answers = classifier.probabilities(dataset.test.pixels).argmax(1)
    right = np.flatnonzero(answers == dataset.test.labels)
    assert len(right) > 100
    pixels, told = dataset.test.pixels[right], answers[right]
    heat = heat_maps(classifier, pixels, told)
    hottest = heat.reshape(len(right), -1).argmax(1)
    assert planted.test_masks[right].reshape(len(right), -1)[np.arange(len(right)), hottest].mean() >= 0.9

    other = replace(classifier, network=classifier_of(recipe.model, seed=5).network)
    if name == "fast-73":  # its first layer follows from the images and is not learned
        other.network[0].filters.copy_(classifier.network[0].filters)
    alike = [
        spearmanr(one.ravel(), two.ravel()).statistic
        for one, two in zip(heat, heat_maps(other, pixels, told), strict=True)
    ]
    assert np.nanmean(alike) < 0.3
