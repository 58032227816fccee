"""Occlusion maps: shape, range, localization, and dependence on the weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from tinysight.data.sources import shapes
from tinysight.data.splits import split_dataset
from tinysight.explanation.occlusion import occlusion_maps
from tinysight.models.classifier import Classifier, ClassifierSpec
from tinysight.models.registry import build_network
from tinysight.recipes import catalog, loading
from tinysight.recipes.schema import ModelSection
from tinysight.training.trainer import Trainer, fit

NETWORKS = [
    recipe.model for recipe in map(loading.load_recipe, catalog.list_recipes()) if not recipe.model.needs_time_budget
]


def classifier_of(model, image_size=32, seed=0):
    torch.manual_seed(seed)
    spec = ClassifierSpec(model=model, class_names=tuple("abcdefghij"), image_size=image_size)
    return Classifier(spec, build_network(model, 10, image_size))


@pytest.fixture(scope="module")
def pixels():
    return shapes.render_shapes(2, seed=1).pixels


@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: f"{model.architecture} {model.channels}")
def test_maps_of_every_shipped_network_have_image_size(model, pixels):
    heat = occlusion_maps(classifier_of(model), pixels, np.arange(2))
    assert heat.shape == (2, 32, 32)
    assert heat.min() >= 0
    assert {round(float(most), 5) for most in heat.max((1, 2))} <= {0.0, 1.0}


def test_patch_size_scales_with_image_size():
    pixels = shapes.render_shapes(2, seed=1, size=64).pixels
    assert occlusion_maps(
        classifier_of(ModelSection(architecture="early-stopping"), 64), pixels, np.arange(2)
    ).shape == (2, 64, 64)


def test_no_images_give_no_maps(pixels):
    assert len(occlusion_maps(classifier_of(ModelSection()), pixels[:0], np.arange(0))) == 0


class Corner(torch.nn.Module):
    """A network whose first logit is the brightness of one pixel."""

    def forward(self, images):
        bright = images[:, :, 6, 21].mean(1)
        return torch.stack([bright, torch.zeros_like(bright)], 1)


def test_only_the_decisive_pixel_is_hot():
    """Patches of side 5 and stride 2 that cover (6, 21) span the rows 2..10 and the columns 18..24."""
    network = torch.nn.Sequential(Corner())
    classifier = Classifier(
        ClassifierSpec(model=ModelSection(), class_names=("bright", "dark"), image_size=32), network
    )
    pixels = np.full((2, 3, 32, 32), 50, dtype=np.uint8)
    pixels[0, :, 6, 21], pixels[1, :, 6, 21] = 250, 10
    bright, dark = occlusion_maps(classifier, pixels, np.array([0, 0]))
    rows, columns = np.nonzero(bright)
    assert bright[6, 21] == 1
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 10, 18, 24)
    assert dark.max() == 0  # the pixel lowers the first logit
    assert occlusion_maps(classifier, pixels[1:], np.array([1]))[0, 6, 21] == 1


class TwoPixels(torch.nn.Module):
    """A network whose logits are the brightness of one pixel each."""

    def forward(self, images):
        return torch.stack([images[:, :, 4, 4].mean(1), images[:, :, 24, 24].mean(1)], 1)


def test_a_map_of_one_of_several_labels_does_not_depend_on_the_others():
    labels = {"task": "multi-label", "thresholds": (0.5, 0.5), "abstain_below": 0.0}
    spec = ClassifierSpec(model=ModelSection(), class_names=("a", "b"), image_size=32, **labels)
    pixels = np.full((2, 3, 32, 32), 50, dtype=np.uint8)
    pixels[:, :, [4, 24], [4, 24]] = 250
    first, second = occlusion_maps(Classifier(spec, torch.nn.Sequential(TwoPixels())), pixels, np.array([0, 1]))
    assert first[4, 4] == second[24, 24] == 1
    assert first[16:].max() == second[:16].max() == 0


@pytest.mark.parametrize(("name", "epochs"), [("fast-73", 6), ("early-stopping", 8)])
def test_maps_peak_on_the_shape_and_depend_on_weights(name, epochs):
    """benchmarks/occlusion.py computes the same two numbers, also for larger networks."""
    dataset, planted = shapes.make_shapes(train=3000, test=200)
    recipe = loading.load_recipe(name, [f"training.epochs={epochs}", "training.batch_size=125"])
    classifier = fit(Trainer(recipe, dataset, split_dataset(dataset, recipe.data, 0), 0, "fp32"))
    predictions = classifier.probabilities(dataset.test.pixels).argmax(1)
    correct = np.flatnonzero(predictions == dataset.test.labels)[:100]
    assert len(correct) == 100
    pixels, classes = dataset.test.pixels[correct], predictions[correct]
    heat = occlusion_maps(classifier, pixels, classes)
    hottest = heat.reshape(len(correct), -1).argmax(1)
    assert planted.test_masks[correct].reshape(len(correct), -1)[np.arange(len(correct)), hottest].mean() >= 0.9

    other = replace(classifier, network=classifier_of(recipe.model, seed=5).network)
    if name == "fast-73":  # its first layer is computed from the images, not trained
        other.network.body[0].filters.copy_(classifier.network.body[0].filters)
    correlations = [
        spearmanr(first.ravel(), second.ravel()).statistic
        for first, second in zip(heat[:50], occlusion_maps(other, pixels[:50], classes[:50]), strict=True)
    ]
    assert np.nanmean(correlations) < 0.3
