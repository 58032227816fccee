"""Mixup: the blend of images and labels, its proportions, and training with soft labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from tinysight.augmentation.config import Augmentation
from tinysight.augmentation.pipeline import build_augmentation, build_label_mixing
from tinysight.augmentation.transforms.mixup import Mixup
from tinysight.data.load import load
from tinysight.models.classifier import Normalization
from tinysight.recipes.loading import load_recipe
from tinysight.training.loader import BatchLoader
from tinysight.training.train_split import split_dataset


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def reference_mixup(images, targets, weight, others):
    """The paper's Equation 1, image by image."""
    pairs = [(images[i], images[j], targets[i], targets[j]) for i, j in enumerate(others.tolist())]
    mixed = [
        (weight * x + (1 - weight) * other_x, weight * y + (1 - weight) * other_y) for x, other_x, y, other_y in pairs
    ]
    return tuple(torch.stack(column) for column in zip(*mixed, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_images_and_labels_are_blended_in_the_same_proportion(images, seed):
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    _, others, weights = Mixup(mixup=0.5).mix(images, seeded(seed))
    mix = build_label_mixing(Augmentation(mixup=0.5), num_classes=3)
    mixed, soft = mix(images, labels, seeded(seed))
    expected_images, expected_labels = reference_mixup(images, F.one_hot(labels, 3).float(), weights[0].item(), others)
    torch.testing.assert_close(mixed, expected_images, atol=1e-3, rtol=0)
    torch.testing.assert_close(soft, expected_labels)
    torch.testing.assert_close(soft.sum(1), torch.ones(8))
    assert sorted(others.tolist()) == [*range(8)]


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_proportions_have_a_beta_distribution(alpha):
    transform, generator, images = Mixup(mixup=alpha), seeded(0), torch.zeros(2, 3, 1, 1)
    weights = [transform.mix(images, generator)[2][0].item() for _ in range(1000)]
    assert stats.kstest(weights, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_partners_differ_between_batches(images):
    transform, generator = Mixup(mixup=1.0), seeded(0)
    assert len({tuple(transform.mix(images, generator)[1].tolist()) for _ in range(20)}) == 20


def test_augmentation_without_labels_leaves_mixing_to_the_loader(images):
    assert torch.equal(build_augmentation(Augmentation(mixup=1.0))(images, seeded(0)), images)
    assert build_label_mixing(Augmentation(crop_padding=2), num_classes=3) is None


@pytest.fixture(scope="module")
def dataset():
    return load("shapes:train=200,test=50", 32)


def batches(dataset, *overrides):
    recipe = load_recipe("early-stopping", ["training.batch_size=48", *overrides])
    loader = BatchLoader(split_dataset(dataset, recipe.data, 0), recipe, Normalization(), 0, "cpu", 10)
    return [loader.batch(0, step) for step in range(loader.steps_per_epoch)]


def test_batches_keep_their_images_and_get_soft_labels(dataset):
    plain, mixed = batches(dataset), batches(dataset, "augmentation.mixup=0.4")
    for (images, labels), (mixed_images, soft) in zip(plain, mixed, strict=True):
        assert labels.dtype == torch.int64
        assert (soft.shape, soft.dtype) == ((len(labels), 10), torch.float32)
        weights = soft.gather(1, labels[:, None]).squeeze(1)
        assert ((soft > 0).sum(1) <= 2).all()
        assert mixed_images.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(mixed_images.mean(0), images.mean(0), atol=1e-4, rtol=0)  # others are a permutation
        torch.testing.assert_close(soft.sum(0), F.one_hot(labels, 10).float().sum(0), atol=1e-3, rtol=0)
        assert (weights > 0).all()
    assert any(not torch.equal(one[0], other[0]) for one, other in zip(plain, mixed, strict=True))


def test_soft_labels_of_one_class_give_the_loss_of_integer_labels():
    logits = torch.randn(6, 4, generator=seeded(0))
    labels = torch.tensor([0, 3, 2, 1, 0, 2])
    for smoothing in (0.0, 0.2):
        hard = F.cross_entropy(logits, labels, label_smoothing=smoothing)
        torch.testing.assert_close(
            F.cross_entropy(logits, F.one_hot(labels, 4).float(), label_smoothing=smoothing), hard
        )


def test_a_recipe_with_mixup_trains_and_can_be_repeated(dataset, tmp_path):
    import tinysight as ts

    options = {"overrides": ["augmentation.mixup=0.4", "augmentation.brightness=0.2"], "precision": "fp32"}
    run, again = (
        ts.train("early-stopping", dataset, out=tmp_path / name, epochs=2, **options) for name in ("run", "again")
    )
    assert run.summary().status == "finished"
    assert run.weights_checksum() == again.weights_checksum()
    losses = [epoch.loss for epoch in run.history()]
    assert np.isfinite(losses).all()
    plain = ts.train("early-stopping", dataset, out=tmp_path / "plain", epochs=2, precision="fp32")
    assert plain.weights_checksum() != run.weights_checksum()
