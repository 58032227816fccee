from dataclasses import replace

import numpy as np
import pytest
import torch

from tinysight.training.train_split import TrainSplit, split_dataset
from tinysight.training.trainer import EpochState, Trainer

FROZEN = "optimizer.learning_rate=1e-12"  # keeps the weights


@pytest.fixture
def trainer(dataset, recipe):
    """Return a function from `key=value` overrides and a seed to a new trainer."""

    def make(*changes, seed=0):
        settled = recipe(*changes)
        return Trainer(settled, dataset, split_dataset(dataset, settled.data, 0), seed, "fp32")

    return make


def train_epoch(trainer):
    sizes = [trainer.step() for _ in range(trainer.loader.steps_per_epoch)]
    return sizes, trainer.end_epoch()


class RecordingPixels(np.ndarray):
    """Pixels that record the indices of read images."""

    def __getitem__(self, key):
        self.indices.extend(np.atleast_1d(key))
        return np.asarray(self)[key]


def test_an_epoch_is_one_pass_over_the_training_images(dataset, recipe):
    """In the notebooks every second epoch was empty."""
    settled = recipe()
    images = split_dataset(dataset, settled.data, 0)
    pixels = images.train.pixels.view(RecordingPixels)
    train = type(images.train)(pixels, images.train.labels)
    trainer = Trainer(settled, dataset, TrainSplit(train, images.train_indices, images.validation), 0, "fp32")

    passes = []
    for _ in range(2):
        pixels.indices = []
        sizes, _ = train_epoch(trainer)
        assert sizes == [24, 24, 24, 24, 24, 24, 16]
        assert sorted(pixels.indices) == images.train_indices.tolist()
        passes.append(pixels.indices)
    assert passes[0] != passes[1] != images.train_indices.tolist()


def test_epoch_metrics_are_means_over_the_images(trainer):
    trained, frozen = trainer(), trainer(FROZEN)
    train_epoch(trained)
    frozen.network.load_state_dict(trained.network.state_dict())
    _, epoch = train_epoch(frozen)

    images = frozen.split
    parts = {"": (images.train.pixels[images.train_indices], images.train.labels[images.train_indices])}
    parts["val_"] = (images.validation.pixels, images.validation.labels)
    for prefix, (pixels, labels) in parts.items():
        probabilities = frozen.classifier.probabilities(pixels).astype(np.float64)
        loss = -np.log(probabilities[np.arange(len(labels)), labels]).mean()
        assert getattr(epoch, prefix + "loss") == pytest.approx(loss, rel=1e-5)
        assert getattr(epoch, prefix + "accuracy") == pytest.approx((probabilities.argmax(1) == labels).mean())
    assert epoch.images_per_second == pytest.approx(160 / epoch.seconds)


def test_the_running_means_of_the_last_step_are_those_of_the_epoch(trainer):
    running = trainer()
    for _ in range(running.loader.steps_per_epoch):
        running.step()
    state = running.state
    loss, accuracy = state.loss_sum / state.images, state.correct / state.images

    epoch = running.end_epoch()

    assert (epoch.loss, epoch.accuracy) == (loss, accuracy)
    assert (running.state.epoch, running.state.step, running.state.images) == (1, 0, 0)


def test_initial_weights_depend_only_on_the_seed(trainer):
    def first_layer(seed):
        torch.rand(seed + 1)  # advances the global generator
        return trainer(seed=seed).network.body[0].weight

    assert torch.equal(first_layer(1), first_layer(1))
    assert not torch.equal(first_layer(1), first_layer(2))


def test_augmentation_affects_training_images_only(trainer):
    plain, mirrored = trainer(FROZEN), trainer(FROZEN, "augmentation.horizontal_flip=true")
    (_, plain_epoch), (_, mirrored_epoch) = train_epoch(plain), train_epoch(mirrored)

    assert plain_epoch.loss != mirrored_epoch.loss
    assert plain_epoch.val_loss == pytest.approx(mirrored_epoch.val_loss, rel=1e-6)


def test_every_step_has_its_own_dropout_mask(dataset, recipe):
    settled, patterns = recipe(FROZEN, "model.architecture=strided"), set()
    images = split_dataset(dataset, settled.data, 0)
    same = TrainSplit(images.train, np.full(48, 7), images.validation)  # so that only the dropout differs
    frozen = Trainer(settled, dataset, same, 0, "fp32")
    frozen.network.body[-1].register_forward_hook(
        lambda layer, inputs, output: patterns.add((output != 0).numpy().tobytes())
    )
    for epoch in (0, 1):
        frozen.state = EpochState(epoch)
        frozen.step()
        frozen.step()

    assert len(patterns) == 4


def test_a_restored_trainer_takes_the_same_next_step(trainer):
    changes = ("model.architecture=strided", "augmentation.rotation=30", "optimizer.name=adam")
    original, restored = trainer(*changes), trainer(*changes)
    for _ in range(3):
        original.step()
    saved = original.checkpoint()
    restored.restore(type(saved)({name: tensor.clone() for name, tensor in saved.tensors.items()}, saved.state))
    original.step()
    restored.step()

    expected, actual = original.checkpoint(), restored.checkpoint()
    assert actual.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(actual.tensors[name], expected.tensors[name]) for name in expected.tensors)
    assert replace(restored.state, seconds=0) == replace(original.state, seconds=0)


def test_ghost_batches_add_up_to_the_batch(trainer):
    """Without batch normalization, the ghost batch size changes only rounding."""
    whole, split = trainer(), trainer("training.ghost_batch_size=5")
    for running in (whole, split):
        for _ in range(3):
            running.step()

    for expected, actual in zip(whole.network.parameters(), split.network.parameters(), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    assert whole.state.correct == split.state.correct
    assert whole.state.loss_sum == pytest.approx(split.state.loss_sum, rel=1e-5)


@pytest.mark.parametrize(
    ("batch", "ghost_batch", "sizes"), [(25, 8, [9, 8, 8]), (25, 25, [25]), (5, 2, [3, 2]), (3, 8, [3]), (1, 1, [1])]
)
def test_ghost_batches_have_at_least_the_requested_size(trainer, batch, ghost_batch, sizes):
    seen = []
    running = trainer(f"training.batch_size={batch}", f"training.ghost_batch_size={ghost_batch}")
    running.network.register_forward_pre_hook(lambda network, inputs: seen.append(len(inputs[0])))
    running.step()

    assert seen == sizes


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batch_normalization_of_a_single_value_is_finite(dataset, recipe, batch_size):
    settled = recipe(
        *("model.architecture=fast", "model.stem_stride=2", "model.channels=[16,16]", "optimizer.name=muon"),
        *(f"training.batch_size={batch_size}", "data.image_size=16"),
    )
    trainer = Trainer(settled, dataset, split_dataset(dataset, settled.data, 0), 0, "fp32")
    trainer.loader.steps_per_epoch = 3
    _, epoch = train_epoch(trainer)

    assert np.isfinite(epoch.val_loss)


def test_label_smoothing_mixes_in_the_uniform_distribution(trainer):
    running = trainer(FROZEN, "training.label_smoothing=0.3")
    images, labels = running.loader.batch(0, 0)
    running.step()

    with torch.no_grad():
        log_probabilities = running.network.eval()(images).log_softmax(1)
    target = log_probabilities.gather(1, labels.unsqueeze(1)).mean()
    expected = -0.7 * target - 0.3 * log_probabilities.mean()
    assert running.state.loss_sum / running.state.images == pytest.approx(expected.item(), rel=1e-4)


def test_a_linear_schedule_reaches_zero_at_the_end_of_training(trainer):
    running = trainer("optimizer.lr_schedule=linear", "optimizer.learning_rate=0.5", "training.epochs=2")
    lr_scales = []
    for _ in range(2):
        for _ in range(running.loader.steps_per_epoch):
            lr_scales.append(running.lr_scale)
            running.step()
        running.end_epoch()

    assert lr_scales == pytest.approx(np.linspace(1, 0, 14, endpoint=False))
    assert [epoch.lr for epoch in running.history] == pytest.approx([0.25, 0])
    assert running.lr_scale == pytest.approx(0)


def test_the_fast_network_learns(dataset, recipe):
    settled = recipe(
        *(
            "model.architecture=fast",
            "model.stem_stride=2",
            "model.channels=[16]",
            "data.normalization=standardize",
        ),
        *("optimizer.name=muon", "optimizer.learning_rate=0.1", "optimizer.lr_schedule=linear", "training.epochs=4"),
        *("optimizer.bias_learning_rate=1", "optimizer.head_learning_rate=5", "training.drop_last=true"),
    )
    trainer = Trainer(settled, dataset, split_dataset(dataset, settled.data, 0), 0, "fp32")
    while not trainer.done:
        sizes, epoch = train_epoch(trainer)

    assert sizes == [24] * 6
    assert epoch.val_accuracy >= 0.9


@pytest.mark.parametrize(
    "changes",
    [
        ["optimizer.name=sgd", "optimizer.learning_rate=0.05", "optimizer.momentum=0.9"],
        ["optimizer.name=adamw", "optimizer.learning_rate=0.003", "optimizer.weight_decay=0.01"],
        [
            *("optimizer.name=muon", "optimizer.learning_rate=0.05"),
            *("optimizer.bias_learning_rate=0.05", "optimizer.head_learning_rate=0.05"),
        ],
    ],
    ids=["sgd", "adamw", "muon"],
)
def test_a_network_without_batch_normalization_learns_with_every_optimizer(trainer, changes):
    learning = trainer(*changes, "training.epochs=6", "optimizer.lr_schedule=cosine", "optimizer.warmup_epochs=1")
    while not learning.done:
        _, epoch = train_epoch(learning)

    assert epoch.lr == pytest.approx(0, abs=1e-9)
    assert epoch.val_accuracy >= 0.8


def test_a_partial_batch_has_a_smaller_gradient(dataset, recipe):
    """Learning rates for full batches would be too large for it."""
    settled = recipe(
        *("model.architecture=fast", "model.stem_stride=2", "model.channels=[16]", "optimizer.name=muon"),
        *("training.batch_size=1600", "training.drop_last=true"),
    )
    trainer = Trainer(settled, dataset, split_dataset(dataset, settled.data, 0), 0, "fp32")
    images, labels = trainer.loader.batch(0, 0)
    head = trainer.network.head.weight
    before = head.detach().clone()
    loss = torch.nn.functional.cross_entropy(trainer.network.train()(images), labels)
    (gradient,) = torch.autograd.grad(loss, head)

    trainer.step()

    step = before - head.detach()
    nesterov = 1 + settled.optimizer.momentum
    assert torch.allclose(step, settled.optimizer.head_learning_rate * nesterov * gradient / 10, rtol=1e-3, atol=1e-5)
