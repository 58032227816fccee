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


def test_portions_of_a_batch_add_up_to_the_batch(trainer):
    """In a network that normalises nothing, how many images go through it at once changes nothing but rounding."""
    whole, portions = trainer(), trainer("training.ghost_batch_size=5")
    for running in (whole, portions):
        for _ in range(3):
            running.step()

    for one, other in zip(whole.network.parameters(), portions.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert whole.position.correct == portions.position.correct
    assert whole.position.loss == pytest.approx(portions.position.loss, rel=1e-5)


@pytest.mark.parametrize(
    ("batch", "portion", "sizes"), [(25, 8, [9, 8, 8]), (25, 25, [25]), (5, 2, [3, 2]), (3, 8, [3]), (1, 1, [1])]
)
def test_portions_are_as_large_as_asked_for_or_a_little_larger(trainer, batch, portion, sizes):
    seen = []
    running = trainer(f"training.batch_size={batch}", f"training.ghost_batch_size={portion}")
    running.network.register_forward_pre_hook(lambda network, inputs: seen.append(len(inputs[0])))
    running.step()

    assert seen == sizes


@pytest.mark.parametrize("batch_size", [1, 3])
def test_what_is_normalised_may_be_a_single_value(dataset, recipe, batch_size):
    settled = recipe(
        *("model.architecture=fast", "model.stem=coarse", "model.widths=[16,16]", "optimiser.name=muon"),
        *(f"training.batch_size={batch_size}", "data.image_size=16"),
    )
    trainer = Trainer(settled, dataset, cut(dataset, settled.data, 0), 0, "fp32")
    trainer.feed.steps = 3
    _, epoch = train_epoch(trainer)

    assert np.isfinite(epoch.val_loss)


def test_smoothed_labels_give_every_class_its_share(trainer):
    running = trainer(STILL, "training.label_smoothing=0.3")
    images, labels = running.feed.batch(0, 0)
    running.step()

    with torch.no_grad():
        log_probabilities = running.network.eval()(images).log_softmax(1)
    right = log_probabilities.gather(1, labels.unsqueeze(1)).mean()
    expected = -0.7 * right - 0.3 * log_probabilities.mean()
    assert running.position.loss / running.position.seen == pytest.approx(expected.item(), rel=1e-4)


def test_a_linear_schedule_falls_to_nothing_by_the_end_of_the_training(trainer):
    running = trainer("optimiser.schedule=linear", "optimiser.learning_rate=0.5", "training.epochs=2")
    shares = []
    for _ in range(2):
        for _ in range(running.feed.steps):
            shares.append(running.share)
            running.step()
        running.end_epoch()

    assert shares == pytest.approx(np.linspace(1, 0, 14, endpoint=False))
    assert [epoch.lr for epoch in running.history] == pytest.approx([0.25, 0])
    assert running.share == pytest.approx(0)


def test_the_fast_network_learns(dataset, recipe):
    settled = recipe(
        *("model.architecture=fast", "model.stem=coarse", "model.widths=[16]", "data.normalisation=standardise"),
        *("optimiser.name=muon", "optimiser.learning_rate=0.1", "optimiser.schedule=linear", "training.epochs=4"),
        *("optimiser.bias_learning_rate=1", "optimiser.head_learning_rate=5", "training.drop_last=true"),
    )
    trainer = Trainer(settled, dataset, cut(dataset, settled.data, 0), 0, "fp32")
    while not trainer.done:
        sizes, epoch = train_epoch(trainer)

    assert sizes == [24] * 6
    assert epoch.val_accuracy >= 0.9


def test_a_batch_that_the_images_do_not_fill_weighs_as_much_less(dataset, recipe):
    """Rates of whole batches would throw the weights of the last layer about."""
    settled = recipe(
        *("model.architecture=fast", "model.stem=coarse", "model.widths=[16]", "optimiser.name=muon"),
        *("training.batch_size=1600", "training.drop_last=true"),
    )
    trainer = Trainer(settled, dataset, cut(dataset, settled.data, 0), 0, "fp32")
    images, labels = trainer.feed.batch(0, 0)
    head = trainer.network[-1].weight
    before = head.detach().clone()
    loss = torch.nn.functional.cross_entropy(trainer.network.train()(images), labels)
    (gradient,) = torch.autograd.grad(loss, head)

    trainer.step()

    moved = before - head.detach()
    nesterov = 1 + settled.optimiser.momentum
    assert torch.allclose(moved, settled.optimiser.head_learning_rate * nesterov * gradient / 10, rtol=1e-3, atol=1e-5)
