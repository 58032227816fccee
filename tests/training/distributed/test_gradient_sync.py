"""Steps of several workers equal those of one up to rounding."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tinysight._util.errors import RecipeError
from tinysight.recipes.schema import TrainingSection
from tinysight.training.distributed.gradient_sync import GradientSync
from tinysight.training.distributed.process_group import SINGLE, ProcessGroup

FAST = (
    *(
        "model.architecture=fast",
        "model.stem_stride=2",
        "model.channels=[16,16]",
        "data.normalization=standardize",
    ),
    *("optimizer.name=muon", "optimizer.learning_rate=0.1", "optimizer.bias_learning_rate=1"),
    *("optimizer.head_learning_rate=5", "optimizer.lr_schedule=linear", "training.epochs=10"),
    *("training.ghost_batch_size=8", "training.label_smoothing=0.2", "augmentation.horizontal_flip=true"),
)
# With the epsilon of Keras, Adam turns rounding errors of a gradient into full steps, so that two orders of summation
# diverge (docs/experiments/distributed-equivalence.md).
PLAIN = ("optimizer.name=adam", "optimizer.epsilon=1", "optimizer.learning_rate=0.1", "training.epochs=10")
STEPS = 50
WITH_BATCH_NORM, WITHOUT_BATCH_NORM = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Linear(2, 2)


def losses_of(trainer, steps):
    """Return the mean loss of each step; epochs end with a validation."""
    losses = []
    for _ in range(steps):
        before = trainer.state.loss_sum
        images = trainer.step()
        losses.append((trainer.state.loss_sum - before) / images)
        if trainer.state.step == trainer.loader.steps_per_epoch:
            trainer.end_epoch()
    return losses


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("changes", [FAST, PLAIN], ids=["batch norm", "no batch norm"])
def test_losses_of_several_workers_equal_those_of_one(together, trainers, join, changes, count):
    (alone,) = trainers(1, *changes)
    expected = losses_of(alone, STEPS)
    group = trainers(count, *changes)
    worker_losses = together(count, lambda workers: losses_of(join(group[workers.rank], workers), STEPS))

    for losses in worker_losses:
        assert losses == pytest.approx(expected, abs=1e-5)
    assert expected[-1] < 0.95 * expected[0]
    for trainer in group:
        assert trainer.state.correct == alone.state.correct
        assert [epoch.val_loss for epoch in trainer.history] == pytest.approx(
            [epoch.val_loss for epoch in alone.history], abs=1e-5
        )
        for name, tensor in trainer.checkpoint().tensors.items():
            torch.testing.assert_close(tensor, alone.checkpoint().tensors[name], rtol=1e-3, atol=1e-5)
            assert torch.equal(tensor, group[0].checkpoint().tensors[name]), name


def test_workers_may_have_no_ghost_batch_of_the_last_batch(together, trainers, join):
    changes = (*FAST, "training.batch_size=44", "training.ghost_batch_size=11")  # 160 = 3 * 44 + 28: two ghost batches
    (alone,) = trainers(1, *changes)
    expected = losses_of(alone, 8)
    group = trainers(4, *changes)
    for losses in together(4, lambda workers: losses_of(join(group[workers.rank], workers), 8)):
        assert losses == pytest.approx(expected, abs=1e-5)


def test_every_worker_has_its_own_dropout_mask(trainers, join, monkeypatch):
    monkeypatch.setattr(ProcessGroup, "all_reduce", lambda workers, tensors: None)  # there is no other worker
    dropped = []
    for rank in (0, 1):
        (trainer,) = trainers(1, "model.architecture=strided", "training.batch_size=2")
        join(trainer, ProcessGroup(rank, 2)).network.body[-1].register_forward_hook(
            lambda layer, inputs, output: dropped.append((output == 0) & (inputs[0] != 0))
        )
        monkeypatch.setattr(trainer.gradient_sync, "shard", lambda images: [slice(0, 1)])  # the same image
        monkeypatch.setattr(trainer.gradient_sync, "reduce", list)
        trainer.step()
    assert not torch.equal(*dropped)


@given(images=st.integers(1, 300), ghost_batch=st.integers(1, 40) | st.none(), count=st.integers(1, 12))
@pytest.mark.parametrize("network", [WITH_BATCH_NORM, WITHOUT_BATCH_NORM], ids=["batch norm", "no batch norm"])
def test_workers_share_a_batch_in_whole_ghost_batches(network, images, ghost_batch, count):
    training = TrainingSection(batch_size=300, ghost_batch_size=ghost_batch)
    alone = GradientSync(SINGLE, network, training).shard(images)
    max_workers = 300 // (ghost_batch or 300)
    if network is WITH_BATCH_NORM and count > max_workers:
        with pytest.raises(RecipeError, match=f"{count} workers: a batch of 300 has only {max_workers} ghost batches"):
            GradientSync(ProcessGroup(0, count), network, training)
        return
    shares = [GradientSync(ProcessGroup(rank, count), network, training).shard(images) for rank in range(count)]

    assert [image for share in shares for part in share for image in range(images)[part]] == list(range(images))
    if network is WITH_BATCH_NORM:
        assert [part for share in shares for part in share] == alone
    elif images >= count:
        sizes = [sum(part.stop - part.start for part in share) for share in shares]
        assert max(sizes) - min(sizes) <= max(map(len, shares))
