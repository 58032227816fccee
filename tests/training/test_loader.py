from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from tinysight.data.splits import TrainSplit, split_dataset
from tinysight.models.classifier import Normalization
from tinysight.training import loader
from tinysight.training.loader import BatchLoader, balanced_sample

BATCH = 24  # the recipe's batch_size
SMALL_BLOCK = 2 * BATCH * 16 * 16  # pixels of two batches: the 160 training images make four blocks
ROTATED = "augmentation.rotation=30"


@pytest.fixture
def make(dataset, recipe):
    """Return a function from `key=value` overrides to a loader of the tiny images."""

    def make(*changes, seed=0, images=None):
        settled = recipe(*changes)
        return BatchLoader(images or split_dataset(dataset, settled.data, 0), settled, Normalization(), seed)

    return make


@pytest.fixture(params=[SMALL_BLOCK, loader.BLOCK_PIXELS], ids=["small blocks", "one block"])
def _block(request, monkeypatch):
    monkeypatch.setattr(loader, "BLOCK_PIXELS", request.param)


def epoch_of(feed, number=0):
    return [feed.batch(number, step) for step in range(feed.steps_per_epoch)]


@pytest.mark.usefixtures("_block")
def test_images_without_augmentation_are_the_scaled_pixels_with_their_labels(make):
    loader = make()
    batches = epoch_of(loader)
    images, labels = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))

    pixels = loader.split.train.pixels[loader.split.train_indices]
    expected = {(row.tobytes(), label) for row, label in zip(pixels, labels_of(loader), strict=True)}
    restored = (images * 255).round().astype(np.uint8)
    assert {(row.tobytes(), label) for row, label in zip(restored, labels, strict=True)} == expected
    assert [len(labels) for _, labels in batches] == [24, 24, 24, 24, 24, 24, 16]


def labels_of(loader):
    return loader.split.train.labels[loader.split.train_indices]


@pytest.mark.usefixtures("_block")
def test_batches_are_channels_last(make):
    for images, _ in epoch_of(make(ROTATED)):
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_the_block_size_does_not_change_the_order(make, monkeypatch):
    large = epoch_of(make())
    monkeypatch.setattr(loader, "BLOCK_PIXELS", SMALL_BLOCK)

    for (images, labels), (expected, expected_labels) in zip(epoch_of(make()), large, strict=True):
        assert torch.equal(images, expected)
        assert torch.equal(labels, expected_labels)


def test_a_batch_may_be_larger_than_a_block(make, monkeypatch):
    monkeypatch.setattr(loader, "BLOCK_PIXELS", 1)

    assert [len(labels) for _, labels in epoch_of(make())] == [24, 24, 24, 24, 24, 24, 16]


@given(requests=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=1, max_size=5))
def test_a_batch_does_not_depend_on_earlier_calls(dataset, recipe, requests):
    settled = recipe(ROTATED)
    images = split_dataset(dataset, settled.data, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loader, "BLOCK_PIXELS", SMALL_BLOCK)
        used, fresh = (BatchLoader(images, settled, Normalization(), 3) for _ in range(2))
        for request in requests:
            images, labels = used.batch(*request)
        expected, expected_labels = fresh.batch(*requests[-1])

    assert torch.equal(images, expected)
    assert torch.equal(labels, expected_labels)


@pytest.mark.usefixtures("_block")
def test_every_batch_of_every_epoch_is_augmented_differently(make):
    images = make().split
    same = TrainSplit(images.train, np.full(96, 7), images.validation)  # so that only the augmentation differs
    loader = make(ROTATED, images=same)

    seen = {batch.numpy().tobytes() for epoch in (0, 1) for batch, _ in epoch_of(loader, epoch)}
    assert len(seen) == 8


def test_the_order_depends_on_seed_and_epoch(make):
    first, again, later, other = epoch_of(make()), epoch_of(make()), epoch_of(make(), 1), epoch_of(make(seed=1))

    assert torch.equal(first[0][0], again[0][0])
    assert not torch.equal(first[0][0], later[0][0])
    assert not torch.equal(first[0][0], other[0][0])


def test_alternating_flips_mirror_every_image_in_every_second_epoch(make):
    loader = make("augmentation.alternating_flip=true")
    shown = []
    for epoch in (0, 1, 2):
        images = torch.cat([images for images, _ in epoch_of(loader, epoch)])
        shown.append({image.numpy().tobytes() for image in images})
    plain = {image.numpy().tobytes() for image in loader.sample(160)}

    assert shown[0] == shown[2]
    assert not shown[0] & shown[1]
    assert 40 < len(plain & shown[0]) < 120
    assert plain <= shown[0] | shown[1]


def test_the_first_mirrored_images_depend_on_the_seed(make):
    first, other = (
        {
            image.numpy().tobytes()
            for images, _ in epoch_of(make("augmentation.alternating_flip=true", seed=seed))
            for image in images
        }
        for seed in (0, 1)
    )
    assert first != other


@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.integers(0, 2**32 - 1), st.data())
def test_balanced_sample_draws_every_class_and_every_image_of_a_class_equally(labels, seed, data):
    labels = np.array(labels)
    indices = np.array(sorted(data.draw(st.sets(st.integers(0, len(labels) - 1), min_size=1))))
    sample = balanced_sample(indices, labels, np.random.default_rng(seed))
    assert len(sample) == len(indices)
    assert list(sample) == sorted(sample)
    assert set(sample) <= set(indices)
    classes = np.unique(labels[indices])
    sizes = [int((labels[sample] == label).sum()) for label in classes]
    assert max(sizes) - min(sizes) <= 1
    for label in classes:
        uses = [int((sample == index).sum()) for index in indices if labels[index] == label]
        assert max(uses) - min(uses) <= 1


@pytest.fixture
def tail(dataset):
    """The tiny images without most of those of the last class."""
    last = dataset.train.labels.max()
    keep = np.flatnonzero((dataset.train.labels != last) | (np.arange(len(dataset.train.labels)) % 8 == 0))
    train = replace(dataset.train, pixels=dataset.train.pixels[keep], labels=dataset.train.labels[keep], files=())
    return replace(dataset, train=train)


def test_balanced_sampling_draws_all_classes_equally_and_anew_in_each_epoch(make, recipe, tail):
    split = split_dataset(tail, recipe().data, 0)
    loader = make("training.sampling=balanced", images=split)
    first, second = (torch.cat([labels for _, labels in epoch_of(loader, number)]) for number in (0, 1))
    counts = torch.bincount(first)
    assert counts.max() - counts.min() <= 1
    assert len(first) == len(split.train_indices)
    assert not torch.equal(first, second)
    again = make("training.sampling=balanced", images=split)
    assert torch.equal(torch.cat([labels for _, labels in epoch_of(again, 1)]), second)


def weights_of(loader):
    return torch.cat([loader.weights(0, step) for step in range(loader.steps_per_epoch)]).numpy()


@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_equal_those_of_scikit_learn(make, recipe, tail, weighted):
    own = np.random.default_rng(0).random(len(tail.train)).astype(np.float32)
    if weighted:
        tail = replace(tail, train=replace(tail.train, weights=own))
    split = split_dataset(tail, recipe().data, 0)
    loader = make("training.class_weight=balanced", images=split)
    labels = torch.cat([labels for _, labels in epoch_of(loader)]).numpy()
    weights = weights_of(loader)
    assert weights.mean() == pytest.approx(1, rel=1e-5)
    expected = compute_sample_weight("balanced", split.train.labels[split.train_indices])
    if weighted:
        expected *= own[split.train_indices]
        np.testing.assert_allclose(np.sort(weights), np.sort(expected / expected.mean()), rtol=1e-4)
    else:
        np.testing.assert_allclose(weights, compute_sample_weight("balanced", labels), rtol=1e-5)


def test_without_class_weights_nothing_is_weighted(make):
    assert make().weights(0, 0) is None
