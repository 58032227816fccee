"""Steps that several workers make together are those of one worker, but for rounding."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tinysight.errors import RecipeError
from tinysight.recipes.schema import Training
from tinysight.training.workers.group import ALONE, Workers
from tinysight.training.workers.joint import JointStep

FAST = (
    *("model.architecture=fast", "model.stem=coarse", "model.widths=[16,16]", "data.normalisation=standardise"),
    *("optimiser.name=muon", "optimiser.learning_rate=0.1", "optimiser.bias_learning_rate=1"),
    *("optimiser.head_learning_rate=5", "optimiser.schedule=linear", "training.epochs=10"),
    *("training.ghost_batch_size=8", "training.label_smoothing=0.2", "augmentation.horizontal_flip=true"),
)
# With the epsilon of Keras a gradient of rounding errors moves a weight as far as any other, and two ways of summing
# up the same gradients lead two trainings apart (docs/experiments.md).
PLAIN = ("optimiser.name=adam", "optimiser.epsilon=1", "optimiser.learning_rate=0.1", "training.epochs=10")
STEPS = 50
NORMALISING, PLAIN_NETWORK = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), nn.Linear(2, 2)


def losses_of(trainer, steps):
    """Return the mean loss of each of so many steps, with the looks at the ends of epochs."""
    found = []
    for _ in range(steps):
        before = trainer.position.loss
        images = trainer.step()
        found.append((trainer.position.loss - before) / images)
        if trainer.position.step == trainer.feed.steps:
            trainer.end_epoch()
    return found


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("changes", [FAST, PLAIN], ids=["normalised in portions", "not normalised"])
def test_the_losses_of_several_workers_are_those_of_one(together, trainers, join, changes, count):
    (alone,) = trainers(1, *changes)
    expected = losses_of(alone, STEPS)
    made = trainers(count, *changes)
    found = together(count, lambda workers: losses_of(join(made[workers.rank], workers), STEPS))

    for losses in found:
        assert losses == pytest.approx(expected, abs=1e-5)
    assert expected[-1] < 0.95 * expected[0]
    for trainer in made:
        assert trainer.position.correct == alone.position.correct
        assert [epoch.val_loss for epoch in trainer.history] == pytest.approx(
            [epoch.val_loss for epoch in alone.history], abs=1e-5
        )
        for name, tensor in trainer.checkpoint().tensors.items():
            torch.testing.assert_close(tensor, alone.checkpoint().tensors[name], rtol=1e-3, atol=1e-5)
            assert torch.equal(tensor, made[0].checkpoint().tensors[name]), name


def test_more_workers_than_portions_of_the_last_batch_leave_some_without_work(together, trainers, join):
    changes = (*FAST, "training.batch_size=44", "training.ghost_batch_size=11")  # 160 = 3 * 44 + 28: two portions
    (alone,) = trainers(1, *changes)
    expected = losses_of(alone, 8)
    made = trainers(4, *changes)
    for losses in together(4, lambda workers: losses_of(join(made[workers.rank], workers), 8)):
        assert losses == pytest.approx(expected, abs=1e-5)


def test_every_worker_drops_activations_of_its_own(trainers, join, monkeypatch):
    monkeypatch.setattr(Workers, "sum", lambda workers, tensors: None)  # nobody else is there
    dropped = []
    for rank in (0, 1):
        (trainer,) = trainers(1, "model.architecture=strided", "training.batch_size=2")
        join(trainer, Workers(rank, 2)).network[-2].register_forward_hook(
            lambda layer, inputs, output: dropped.append((output == 0) & (inputs[0] != 0))
        )
        monkeypatch.setattr(trainer.joint, "begin", lambda images: [slice(0, 1)])  # the same image
        monkeypatch.setattr(trainer.joint, "end", list)
        trainer.step()
    assert not torch.equal(*dropped)


@given(images=st.integers(1, 300), portion=st.integers(1, 40) | st.none(), count=st.integers(1, 12))
@pytest.mark.parametrize("network", [NORMALISING, PLAIN_NETWORK], ids=["normalising", "not"])
def test_workers_share_a_batch_in_order_and_whole_portions_where_they_are_normalised(network, images, portion, count):
    training = Training(batch_size=300, ghost_batch_size=portion)
    alone = JointStep(ALONE, network, training).begin(images)
    if network is NORMALISING and count > 300 // (portion or 300):
        with pytest.raises(RecipeError, match=f"{count} workers are too many for batches of 300 images"):
            JointStep(Workers(0, count), network, training)
        return
    shares = [JointStep(Workers(rank, count), network, training).begin(images) for rank in range(count)]

    assert [place for share in shares for part in share for place in range(images)[part]] == list(range(images))
    if network is NORMALISING:
        assert [part for share in shares for part in share] == alone
    elif images >= count:
        sizes = [sum(part.stop - part.start for part in share) for share in shares]
        assert max(sizes) - min(sizes) <= max(map(len, shares))
