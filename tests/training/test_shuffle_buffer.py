"""Training from memory-mapped images: one pass per epoch, in a reproducible random order."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinysight.data import pixels
from tinysight.data.dataset import Split
from tinysight.data.pixels import open_pixels
from tinysight.data.splits import split_dataset
from tinysight.models.classifier import Normalization
from tinysight.runs.run import Run
from tinysight.training import loader as feeding
from tinysight.training import shuffle_buffer
from tinysight.training.loader import BatchLoader, fit_normalization
from tinysight.training.request import TrainConfig
from tinysight.training.shuffle_buffer import ShuffleBuffer, shuffle_blocks
from tinysight.training.trainer import Trainer

IMAGE = 3 * 16 * 16


@pytest.fixture
def on_disk(dataset, tmp_path, monkeypatch):
    """The tiny images, mapped from a file."""
    monkeypatch.setattr(pixels, "MAX_IN_MEMORY_BYTES", 1000)

    def to_disk(name, split):
        split.pixels.tofile(tmp_path / name)
        return Split(open_pixels(tmp_path / name, split.pixels.shape), split.labels)

    return replace(dataset, train=to_disk("train", dataset.train), test=to_disk("test", dataset.test))


@pytest.fixture(params=[(4 * IMAGE, 50 * IMAGE), (1, 1), (10**9, 10**9)], ids=["small", "least", "all"])
def _sizes(request, monkeypatch):
    """Blocks of 4 images and buffers of 48; blocks of 1 and the smallest buffer; or everything in one."""
    monkeypatch.setattr(shuffle_buffer, "BLOCK_BYTES", request.param[0])
    monkeypatch.setattr(shuffle_buffer, "BUFFER_BYTES", request.param[1])
    monkeypatch.setattr(feeding, "BLOCK_PIXELS", 24 * 16 * 16)


def make_loader(dataset, recipe, *changes, seed=0):
    settled = recipe(*changes)
    return BatchLoader(split_dataset(dataset, settled.data, 0), settled, Normalization(), seed)


def epoch_of(feed, number=0):
    return [feed.batch(number, step) for step in range(feed.steps_per_epoch)]


def rows_of(batches):
    return [row.tobytes() for images, _ in batches for row in (images * 255).round().byte().numpy()]


@given(
    learn=st.sets(st.integers(0, 400), min_size=1).map(sorted),
    block=st.integers(1, 50),
    window=st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_every_image_occurs_once_and_a_buffer_holds_whole_blocks(learn, block, window, seed):
    learn = np.array(learn)
    order = shuffle_blocks(learn, block, window, np.random.default_rng(seed))

    assert sorted(order) == learn.tolist()
    np.testing.assert_array_equal(order, shuffle_blocks(learn, block, window, np.random.default_rng(seed)))
    block_of = {image: position // block for position, image in enumerate(learn.tolist())}
    for start in range(0, len(order), window):
        blocks = {block_of[image] for image in order[start : start + window].tolist()}
        assert len(blocks) <= window // block + 3  # partial blocks at the start and the end, and the short last one


def test_the_order_is_close_to_random():
    orders = [shuffle_blocks(np.arange(2000), 8, 400, np.random.default_rng(seed)) for seed in range(40)]
    positions = np.array([np.argsort(order) for order in orders])

    # The position of an image is uniform over the epoch; its mean has standard error 577 / sqrt(40) = 91.
    assert abs(positions.mean(0) - 1000).max() < 5 * 91
    assert abs(positions.std() - 577) < 30
    # Neighbors in the file are rarely neighbors in the order: 2 in 400 by chance.
    distances = np.abs(np.diff(positions, axis=1))
    assert (distances == 1).mean() < 0.02


@pytest.mark.usefixtures("_sizes")
def test_an_epoch_from_disk_has_every_image_once_with_its_label(on_disk, dataset, recipe):
    feed = make_loader(on_disk, recipe)
    batches = epoch_of(feed)
    learn = feed.split.train_indices
    labels = torch.cat([labels for _, labels in batches]).tolist()

    expected = zip((row.tobytes() for row in dataset.train.pixels[learn]), dataset.train.labels[learn], strict=True)
    assert sorted(zip(rows_of(batches), labels, strict=True)) == sorted(expected)
    assert [len(labels) for _, labels in batches] == [24, 24, 24, 24, 24, 24, 16]


@pytest.mark.usefixtures("_sizes")
def test_the_order_from_disk_depends_on_seed_and_epoch(on_disk, recipe):
    first, again, other = (rows_of(epoch_of(make_loader(on_disk, recipe, seed=seed))) for seed in (0, 0, 1))
    later = rows_of(epoch_of(make_loader(on_disk, recipe), 1))

    assert first == again
    assert first != other
    assert first != later


@pytest.mark.usefixtures("_sizes")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)  # the fixtures are read-only
@given(requests=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=2, max_size=5))
def test_a_batch_from_disk_does_not_depend_on_earlier_calls(on_disk, recipe, requests):
    changes = ("augmentation.rotation=30", "augmentation.alternating_flip=true")
    used, fresh = (make_loader(on_disk, recipe, *changes) for _ in range(2))
    for request in requests:
        images, labels = used.batch(*request)
    expected, expected_labels = fresh.batch(*requests[-1])

    assert torch.equal(images, expected)
    assert torch.equal(labels, expected_labels)


def test_a_buffer_returns_rows_in_any_order(on_disk, dataset):
    window = ShuffleBuffer.load(on_disk.train.pixels, np.array([70, 3, 150, 9]))

    assert window.rows.tolist() == [3, 9, 70, 150]
    np.testing.assert_array_equal(window.take(np.array([150, 3])), dataset.train.pixels[[150, 3]])


def test_normalization_and_whitening_from_disk_equal_those_in_memory(on_disk, dataset, recipe):
    settled = recipe(
        "data.normalization=standardize", "model.architecture=fast", "model.stem_stride=1", "model.channels=[8,8,8]"
    )
    in_memory, from_file = (
        Trainer(settled, images, split_dataset(images, settled.data, 0), 0, "fp32") for images in (dataset, on_disk)
    )
    normalization = fit_normalization(settled, split_dataset(on_disk, settled.data, 0))
    assert normalization == in_memory.classifier.spec.normalization
    for expected, actual in zip(in_memory.network.parameters(), from_file.network.parameters(), strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.usefixtures("_sizes")
def test_training_from_disk_resumes_bit_for_bit(on_disk, recipe):
    settled = recipe("training.epochs=2", "augmentation.crop_padding=2")
    images = split_dataset(on_disk, settled.data, 0)

    def trainer():
        return Trainer(settled, on_disk, images, 0, "fp32")

    uninterrupted, before, after = trainer(), trainer(), trainer()
    for _ in range(5):
        before.step()
    after.restore(before.checkpoint())
    for running in (uninterrupted, after):
        while running.state.step < running.loader.steps_per_epoch:
            running.step()

    expected = uninterrupted.network.state_dict()
    for name, tensor in after.network.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_predictions_from_disk_equal_those_in_memory(on_disk, dataset, recipe):
    results = []
    for source in (dataset, on_disk):
        images = replace(source, validation=source.test)
        trainer = Trainer(recipe(), images, split_dataset(images, recipe().data, 0), 0, "fp32")
        classifier = trainer.calibrate(trainer.classifier)
        results.append((classifier.spec.temperature, classifier.probabilities(images.test.pixels, tta=True)))

    assert results[0][0] == results[1][0]
    np.testing.assert_array_equal(results[0][1], results[1][1])


def test_a_run_from_disk_has_the_same_fingerprint(train, on_disk, dataset, recipe, tmp_path):
    assert train(TrainConfig(recipe(), on_disk, "tiny", tmp_path / "run"), tmp_path / "run").status == "finished"
    assert Run(tmp_path / "run").environment().dataset.fingerprint == dataset.fingerprint
