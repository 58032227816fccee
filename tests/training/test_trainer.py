import numpy as np
import pytest
import torch

from tinysight.training.images import Images, cut
from tinysight.training.trainer import Position, Trainer

STILL = "optimiser.learning_rate=1e-12"  # weights stay where they are


@pytest.fixture
def trainer(dataset, recipe):
    """Return a function from `key=value` changes, and a seed, to a trainer before its first step."""

    def make(*changes, seed=0):
        settled = recipe(*changes)
        return Trainer(settled, dataset, cut(dataset, settled.data, 0), seed, "fp32")

    return make


def train_epoch(trainer):
    sizes = [trainer.step() for _ in range(trainer.feed.steps)]
    return sizes, trainer.end_epoch()


class Watched(np.ndarray):
    """Pixels that remember which of them were asked for."""

    def __getitem__(self, key):
        self.asked.extend(np.atleast_1d(key))
        return np.asarray(self)[key]


def test_an_epoch_is_one_pass_over_the_images_to_learn_from(dataset, recipe):
    """The notebooks' generators left every second epoch empty."""
    settled = recipe()
    images = cut(dataset, settled.data, 0)
    pixels = images.train.pixels.view(Watched)
    watched = type(images.train)(pixels, images.train.labels)
    trainer = Trainer(settled, dataset, Images(watched, images.learn, images.validation), 0, "fp32")

    passes = []
    for _ in range(2):
        pixels.asked = []
        sizes, _ = train_epoch(trainer)
        assert sizes == [24, 24, 24, 24, 24, 24, 16]
        assert sorted(pixels.asked) == images.learn.tolist()
        passes.append(pixels.asked)
    assert passes[0] != passes[1] != images.learn.tolist()


def test_the_figures_of_an_epoch_are_means_over_its_images(trainer):
    trained, still = trainer(), trainer(STILL)
    train_epoch(trained)
    still.network.load_state_dict(trained.network.state_dict())
    _, epoch = train_epoch(still)

    images = still.images
    parts = {"": (images.train.pixels[images.learn], images.train.labels[images.learn])}
    parts["val_"] = (images.validation.pixels, images.validation.labels)
    for prefix, (pixels, labels) in parts.items():
        probabilities = still.classifier.probabilities(pixels).astype(np.float64)
        loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
        assert getattr(epoch, prefix + "loss") == pytest.approx(loss, rel=1e-5)
        assert getattr(epoch, prefix + "accuracy") == pytest.approx((probabilities.argmax(1) == labels).mean())
    assert epoch.images_per_second == pytest.approx(160 / epoch.seconds)


def test_the_last_mean_of_a_step_is_that_of_the_epoch(trainer):
    running = trainer()
    for _ in range(running.feed.steps):
        running.step()
    at = running.position
    loss, accuracy = at.loss / at.seen, at.correct / at.seen

    epoch = running.end_epoch()

    assert (epoch.loss, epoch.accuracy) == (loss, accuracy)
    assert (running.position.epoch, running.position.step, running.position.seen) == (1, 0, 0)


def test_fresh_weights_follow_from_the_seed_alone(trainer):
    def first_layer(seed):
        torch.rand(seed + 1)  # whatever was drawn before
        return trainer(seed=seed).network[0].weight

    assert torch.equal(first_layer(1), first_layer(1))
    assert not torch.equal(first_layer(1), first_layer(2))


def test_augmentation_changes_what_is_learned_from_and_never_what_is_held_back(trainer):
    plain, mirrored = trainer(STILL), trainer(STILL, "augmentation.horizontal_flip=true")
    (_, one), (_, other) = train_epoch(plain), train_epoch(mirrored)

    assert one.loss != other.loss
    assert one.val_loss == pytest.approx(other.val_loss, rel=1e-6)


def test_every_step_drops_other_activations(dataset, recipe):
    settled, patterns = recipe(STILL, "model.architecture=strided"), set()
    images = cut(dataset, settled.data, 0)
    same = Images(images.train, np.full(48, 7), images.validation)  # so that only the dropout differs
    still = Trainer(settled, dataset, same, 0, "fp32")
    still.network[-2].register_forward_hook(lambda layer, inputs, output: patterns.add((output != 0).numpy().tobytes()))
    for epoch in (0, 1):
        still.position = Position(epoch)
        still.step()
        still.step()

    assert len(patterns) == 4


def test_a_trainer_taken_out_of_a_checkpoint_takes_the_same_next_step(trainer):
    changes = ("model.architecture=strided", "augmentation.rotation=30", "optimiser.name=adam")
    one, other = trainer(*changes), trainer(*changes)
    for _ in range(3):
        one.step()
    saved = one.checkpoint()
    other.restore(type(saved)({name: tensor.clone() for name, tensor in saved.tensors.items()}, saved.state))
    one.step()
    other.step()

    ours, theirs = one.checkpoint(), other.checkpoint()
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(torch.equal(ours.tensors[name], theirs.tensors[name]) for name in ours.tensors)
    for key in ("epoch", "step", "seen", "loss", "correct"):
        assert ours.state["position"][key] == theirs.state["position"][key]
