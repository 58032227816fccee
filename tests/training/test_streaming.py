"""Training from a file: every image once an epoch, in an order of chance that is the same every time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinysight.data import pixels
from tinysight.data.dataset import Part
from tinysight.data.pixels import open_pixels
from tinysight.models.classifier import Normalisation
from tinysight.runs.run import Run
from tinysight.training import feed as feeding
from tinysight.training import streaming
from tinysight.training.feed import Feed
from tinysight.training.images import cut, normalisation_for
from tinysight.training.streaming import Window, shuffled
from tinysight.training.train import Plan, train
from tinysight.training.trainer import Trainer

IMAGE = 3 * 16 * 16


@pytest.fixture
def on_disk(dataset, tmp_path, monkeypatch):
    """The tiny images, mapped from a file."""
    monkeypatch.setattr(pixels, "LARGE", 1000)

    def moved(name, part):
        part.pixels.tofile(tmp_path / name)
        return Part(open_pixels(tmp_path / name, part.pixels.shape), part.labels)

    return replace(dataset, train=moved("train", dataset.train), test=moved("test", dataset.test))


@pytest.fixture(params=[(4 * IMAGE, 50 * IMAGE), (1, 1), (10**9, 10**9)], ids=["small", "least", "all"])
def _sizes(request, monkeypatch):
    """Set blocks of 4 images and windows of 48; or of one image and one block of batches; or of everything."""
    monkeypatch.setattr(streaming, "BLOCK", request.param[0])
    monkeypatch.setattr(streaming, "WINDOW", request.param[1])
    monkeypatch.setattr(feeding, "BLOCK", 24 * 16 * 16)


def fed(dataset, recipe, *changes, seed=0):
    settled = recipe(*changes)
    return Feed(cut(dataset, settled.data, 0), settled, Normalisation(), seed)


def epoch_of(feed, number=0):
    return [feed.batch(number, step) for step in range(feed.steps)]


def rows_of(batches):
    return [row.tobytes() for images, _ in batches for row in (images * 255).round().byte().numpy()]


@given(
    learn=st.sets(st.integers(0, 400), min_size=1).map(sorted),
    block=st.integers(1, 50),
    window=st.integers(1, 100),
    seed=st.integers(0, 9),
)
def test_every_image_comes_once_and_a_window_is_of_whole_blocks(learn, block, window, seed):
    learn = np.array(learn)
    order = shuffled(learn, block, window, np.random.default_rng(seed))

    assert sorted(order) == learn.tolist()
    np.testing.assert_array_equal(order, shuffled(learn, block, window, np.random.default_rng(seed)))
    block_of = {image: place // block for place, image in enumerate(learn.tolist())}
    for start in range(0, len(order), window):
        found = {block_of[image] for image in order[start : start + window].tolist()}
        assert len(found) <= window // block + 3  # one begun before it, one that goes on behind it, the short last one


def test_an_order_is_like_one_of_chance():
    orders = [shuffled(np.arange(2000), 8, 400, np.random.default_rng(seed)) for seed in range(40)]
    places = np.array([np.argsort(order) for order in orders])

    # Where an image comes is uniform over the epoch, with standard error 577 / sqrt(40) = 91 for each.
    assert abs(places.mean(0) - 1000).max() < 5 * 91
    assert abs(places.std() - 577) < 30
    # Neighbours in the file are hardly ever neighbours in an order: by chance two in 400.
    apart = np.abs(np.diff(places, axis=1))
    assert (apart == 1).mean() < 0.02


@pytest.mark.usefixtures("_sizes")
def test_an_epoch_from_a_file_holds_every_image_once_with_its_label(on_disk, dataset, recipe):
    feed = fed(on_disk, recipe)
    batches = epoch_of(feed)
    learn = feed.images.learn
    labels = torch.cat([labels for _, labels in batches]).tolist()

    expected = zip((row.tobytes() for row in dataset.train.pixels[learn]), dataset.train.labels[learn], strict=True)
    assert sorted(zip(rows_of(batches), labels, strict=True)) == sorted(expected)
    assert [len(labels) for _, labels in batches] == [24, 24, 24, 24, 24, 24, 16]


@pytest.mark.usefixtures("_sizes")
def test_seed_and_epoch_decide_the_order_from_a_file(on_disk, recipe):
    first, again, other = (rows_of(epoch_of(fed(on_disk, recipe, seed=seed))) for seed in (0, 0, 1))
    later = rows_of(epoch_of(fed(on_disk, recipe), 1))

    assert first == again
    assert first != other
    assert first != later


@pytest.mark.usefixtures("_sizes")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)  # nothing changes the images
@given(asked=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6)), min_size=2, max_size=5))
def test_a_batch_from_a_file_does_not_depend_on_what_was_asked_for_before(on_disk, recipe, asked):
    used, fresh = (fed(on_disk, recipe, "augmentation.rotation=30", "augmentation.alternating_flip=true") for _ in "ab")
    for place in asked:
        found, labels = used.batch(*place)
    same, same_labels = fresh.batch(*asked[-1])

    assert torch.equal(found, same)
    assert torch.equal(labels, same_labels)


def test_a_window_gives_rows_in_any_order(on_disk, dataset):
    window = Window.on(on_disk.train.pixels, np.array([70, 3, 150, 9]))

    assert window.rows.tolist() == [3, 9, 70, 150]
    np.testing.assert_array_equal(window.at(np.array([150, 3])), dataset.train.pixels[[150, 3]])


def test_images_in_a_file_are_normalised_and_whitened_as_in_memory(on_disk, dataset, recipe):
    settled = recipe(
        "data.normalisation=standardise", "model.architecture=fast", "model.stem=fine", "model.widths=[8,8,8]"
    )
    in_memory, from_file = (
        Trainer(settled, images, cut(images, settled.data, 0), 0, "fp32") for images in (dataset, on_disk)
    )
    assert normalisation_for(settled, cut(on_disk, settled.data, 0)) == in_memory.classifier.normalisation
    for one, other in zip(in_memory.network.parameters(), from_file.network.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.usefixtures("_sizes")
def test_training_from_a_file_can_be_resumed_bit_for_bit(on_disk, recipe):
    settled = recipe("training.epochs=2", "augmentation.crop_padding=2")
    images = cut(on_disk, settled.data, 0)

    def trainer():
        return Trainer(settled, on_disk, images, 0, "fp32")

    whole, before, after = trainer(), trainer(), trainer()
    for _ in range(5):
        before.step()
    after.restore(before.checkpoint())
    for one in (whole, after):
        while one.position.step < one.feed.steps:
            one.step()

    for kept, found in zip(whole.network.state_dict().values(), after.network.state_dict().values(), strict=True):
        assert torch.equal(kept, found)


def test_what_is_told_of_images_in_a_file_is_what_is_told_of_them_in_memory(on_disk, dataset, recipe):
    found = []
    for images in (dataset, on_disk):
        own = replace(images, validation=images.test)
        trainer = Trainer(recipe(), own, cut(own, recipe().data, 0), 0, "fp32")
        classifier = trainer.calibrate(trainer.classifier)
        found.append((classifier.temperature, classifier.probabilities(own.test.pixels, tta=True)))

    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_a_run_from_a_file_is_finished_and_bears_the_same_fingerprint(on_disk, dataset, recipe, tmp_path):
    assert train(Plan(recipe(), on_disk, "tiny", 0, "fp32"), tmp_path / "run").status == "finished"
    assert Run(tmp_path / "run").environment().dataset.fingerprint == dataset.fingerprint
