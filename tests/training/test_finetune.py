"""Fine-tuning: a probe first, then the weights of the backbone."""

import signal

import numpy as np
import pytest
import torch

import tinysight as ts
from tinysight._util.errors import RecipeError
from tinysight._util.progress import SilentProgress
from tinysight.recipes.loading import load_with_overrides

DATA = "shapes:train=120,test=40"


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A run of a network with batch normalization, on other images."""
    path = tmp_path_factory.mktemp("backbone") / "run"
    recipe = ["model.channels=[8,8,16,16]", "training.batch_size=32"]
    return ts.train("resnet-9", "shapes:train=100,test=30,seed=5", out=path, epochs=2, overrides=recipe)


@pytest.fixture(scope="module")
def finetune(backbone):
    """Return a function that fine-tunes that run."""

    def train(path, *overrides, **options):
        changes = [f"model.backbone={backbone.path}", *overrides]
        return ts.train("finetune", DATA, out=path, overrides=changes, precision="fp32", **options)

    return train


@pytest.fixture(scope="module")
def run(finetune, tmp_path_factory):
    """A run of four epochs: the probe, and three that train."""
    return finetune(tmp_path_factory.mktemp("finetune") / "run", epochs=4)


def weights(run):
    return run.classifier().network.state_dict()


def test_the_first_epoch_is_the_probe(backbone, run, tmp_path):
    probe = ts.train("probe", DATA, out=tmp_path / "run", overrides=[f"model.backbone={backbone.path}"])
    assert run.history()[0].val_loss == pytest.approx(probe.history()[0].val_loss, rel=1e-3)


def test_the_kept_weights_are_not_worse_than_the_probe_on_validation(run):
    losses = [epoch.val_loss for epoch in run.history()]
    kept = run.history()[int(np.argmin(losses))]
    assert run.summary().val_accuracy == kept.val_accuracy
    assert kept.val_loss <= losses[0]


def test_a_learning_rate_that_destroys_the_features_keeps_the_probe(finetune, tmp_path):
    run = finetune(tmp_path / "run", "optimizer.learning_rate=0.5", epochs=3)
    assert run.summary().val_accuracy == run.history()[0].val_accuracy
    assert min(epoch.val_loss for epoch in run.history()) == run.history()[0].val_loss


def test_weights_change_but_not_the_statistics_of_the_backbone(backbone, finetune, tmp_path):
    """The last weights, not the best, so that those of the probe are not kept."""
    run = finetune(tmp_path / "run", "early_stopping.restore_best_weights=false", epochs=3)
    before, after = weights(backbone), weights(run)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any("running" in name or "num_batches" in name for name in changed)
    assert {name for name in before if name.endswith("weight")} <= changed


def test_the_first_layers_are_frozen_at_first(backbone, finetune, tmp_path):
    """Two of ten epochs are before the point from which on all layers are trained."""
    stopped = finetune(
        tmp_path / "run", "early_stopping.restore_best_weights=false", epochs=10, progress=CtrlC(2 * _steps())
    )
    assert stopped.summary().status == "interrupted"
    before, after = weights(backbone), weights(stopped)
    names = [name for name in before if name.endswith("weight")]
    assert torch.equal(before[names[0]], after[names[0]])
    assert not torch.equal(before[names[-2]], after[names[-2]])


class CtrlC(SilentProgress):
    """Raises SIGINT after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def advance(self, amount, **metrics):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def _steps():
    """Return the steps of an epoch: 108 images in batches of 32."""
    return 4


@pytest.mark.parametrize("steps", [2, 7])
def test_an_interrupted_run_resumes_bit_for_bit(finetune, run, tmp_path, steps):
    path = tmp_path / "run"
    assert finetune(path, epochs=4, progress=CtrlC(steps)).summary().status == "interrupted"
    resumed = finetune(path, epochs=4, resume=True)
    assert resumed.summary().status == "finished"
    expected = weights(run)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


def test_an_optimizer_without_rates_per_layer_is_rejected():
    with pytest.raises(RecipeError, match="finetune needs optimizer sgd or adamw, not adam"):
        load_with_overrides("finetune", ["optimizer.name=adam", "optimizer.weight_decay=0"], None, None)
