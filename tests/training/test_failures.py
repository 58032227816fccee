"""State of a run directory after training failed."""

import errno
import math
import os
import signal

import pytest
import torch
import torch.nn.functional as F

from tinysight._util.errors import DataError, StorageError, TrainingError
from tinysight._util.progress import SilentProgress
from tinysight.runs.run import Run

# Steps of 100 times the ratio of two gradients overflow float32 within three steps.
DIVERGING = (
    "optimizer.name=adam",
    "optimizer.learning_rate=100",
    "optimizer.beta_2=0",
    "optimizer.epsilon=1e-30",
)
STEPS = 7  # per epoch


class RecordingProgress(SilentProgress):
    """Calls `then` after so many steps; `live` is True while a progress bar is open."""

    def __init__(self, steps=0, then=lambda: None):
        self.left, self.then, self.live = steps, then, False

    def start(self, task, total, unit=""):
        self.live = True

    def advance(self, amount, **figures):
        self.left -= 1
        if self.left == 0:
            self.then()

    def finish(self, line=""):
        self.live = False


@pytest.fixture
def not_a_number(monkeypatch):
    """Return a function that makes the loss NaN from the n-th training or validation step on."""
    original = F.cross_entropy

    def patch(nth, training):
        calls = []

        def cross_entropy(logits, labels, **settings):
            loss = original(logits, labels, **settings)
            if torch.is_grad_enabled() != training:
                return loss
            calls.append(loss)
            return loss * math.nan if len(calls) >= nth else loss

        monkeypatch.setattr(F, "cross_entropy", cross_entropy)

    return patch


def assert_same(actual, expected):
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name], expected[name]) for name in actual)


def test_divergence_in_the_first_epoch_leaves_no_model(train, plan, tmp_path):
    with pytest.raises(TrainingError, match=r"Try a smaller optimizer\.learning_rate than 100") as raised:
        train(plan(*DIVERGING), tmp_path / "run")

    summary = Run(tmp_path / "run").summary()
    assert (summary.status, summary.epochs, summary.val_accuracy) == ("failed", 0, None)
    assert summary.error == str(raised.value)
    assert not (tmp_path / "run/model.json").exists()


@pytest.mark.parametrize("when", ["while training", "in validation"])
def test_divergence_later_keeps_the_weights_of_the_last_checkpoint(train, plan, weights, not_a_number, when, tmp_path):
    train(plan("training.epochs=1"), tmp_path / "one epoch")
    if when == "while training":
        not_a_number(nth=STEPS + 3, training=True)
    else:
        not_a_number(nth=2, training=False)
    with pytest.raises(TrainingError, match="the loss is nan in epoch 2, step"):
        train(plan("training.epochs=3"), tmp_path / "run")

    assert_same(weights(tmp_path / "run"), weights(tmp_path / "one epoch"))
    summary, history = Run(tmp_path / "run").summary(), Run(tmp_path / "run").history()
    assert (summary.status, summary.epochs) == ("failed", 1)
    assert summary.val_accuracy == history[0].val_accuracy
    assert len(history) == 1


def test_weights_that_are_not_finite_are_never_saved(train, plan, weights, monkeypatch, tmp_path):
    """An interruption may come after a step with a finite loss and weights that are not finite."""
    original = F.cross_entropy

    def interrupt_and_break(logits, labels, **settings):
        signal.raise_signal(signal.SIGINT)
        return original(logits, labels, **settings) + (0 * logits).sqrt().sum()  # adds nothing, with a gradient of NaN

    progress = RecordingProgress(STEPS + 1, lambda: monkeypatch.setattr(F, "cross_entropy", interrupt_and_break))
    with pytest.raises(TrainingError, match="the weights are not finite in epoch 2"):
        train(plan(), tmp_path / "run", progress=progress)
    monkeypatch.undo()

    train(plan("training.epochs=1"), tmp_path / "one epoch")
    assert_same(weights(tmp_path / "run"), weights(tmp_path / "one epoch"))
    assert Run(tmp_path / "run").checkpoint().state["position"]["epoch"] == 1


def test_an_error_closes_the_progress_bar(train, plan, tmp_path):
    progress = RecordingProgress()
    with pytest.raises(TrainingError):
        train(plan(*DIVERGING), tmp_path / "run", progress=progress)

    assert not progress.live


@pytest.mark.parametrize("operation", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_leaves_the_last_checkpoint(
    train, plan, weights, monkeypatch, operation, code, tmp_path
):
    """Once there is space again, the run resumes with the same result."""

    def fill():
        def fail(*arguments, **named):
            raise OSError(code, os.strerror(code))

        patch.setattr(os, operation, fail)

    path = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(StorageError, match=r"Cannot write .*: the (disk|folder) is"):
        train(plan("training.epochs=3"), path, progress=RecordingProgress(STEPS + 2, fill))

    assert Run(path).checkpoint().state["position"]["epoch"] == 1
    assert Run(path).summary().status == "running"
    assert not list(path.rglob("*.part"))
    train(plan("training.epochs=3"), path, resume=True)
    train(plan("training.epochs=3"), tmp_path / "uninterrupted")
    assert_same(weights(path), weights(tmp_path / "uninterrupted"))


def test_running_out_of_memory_keeps_the_weights_of_the_last_checkpoint(train, plan, weights, monkeypatch, tmp_path):
    train(plan("training.epochs=1"), tmp_path / "one epoch")

    def fill():
        monkeypatch.setattr(
            F, "cross_entropy", lambda logits, labels, **settings: torch.empty(2**59, dtype=torch.uint8)
        )

    with pytest.raises(TrainingError, match=r"not enough memory.*reduce data\.image_size or training\.batch_size"):
        train(plan("training.epochs=3"), tmp_path / "run", progress=RecordingProgress(STEPS + 2, fill))

    assert_same(weights(tmp_path / "run"), weights(tmp_path / "one epoch"))
    assert Run(tmp_path / "run").summary().status == "failed"


def test_images_of_another_size_are_rejected_before_writing(train, plan, tmp_path):
    with pytest.raises(DataError, match=r"16x16.*data\.image_size is 32"):
        train(plan("data.image_size=32"), tmp_path / "run")

    assert not (tmp_path / "run").exists()
