import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tinysight.data.load import load
from tinysight.errors import DataError, RunError
from tinysight.models.classifier import lead
from tinysight.progress import Silent
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training.images import cut
from tinysight.training.train import Plan, train

KEYS = ["epoch", "seconds", "images_per_second", "loss", "accuracy", "val_loss", "val_accuracy", "lr"]


class Recorder(Silent):
    """Keeps what a progress is told."""

    def __init__(self):
        self.tasks, self.amounts, self.lines = [], [], []

    def start(self, task, total, unit=""):
        self.tasks.append((task, total, unit))
        self.amounts.append(0)

    def advance(self, amount, **figures):
        self.amounts[-1] += amount
        self.figures = figures

    def finish(self, line=""):
        self.lines.append(line)


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def recomputed(path, plan):
    """Return loss and accuracy of the weights in `path` on the validation images."""
    part = cut(plan.dataset, plan.recipe.data, plan.seed).validation
    uncalibrated = replace(Run(path).classifier(), temperature=1.0)
    probabilities = uncalibrated.probabilities(part.pixels)
    hits = probabilities.argmax(1) == part.labels
    return -np.log(probabilities[np.arange(len(part)), part.labels]).mean(), hits.mean()


def test_a_training_leaves_a_complete_run(plan, tmp_path):
    settled = plan("training.epochs=3", seed=5)
    summary = train(settled, tmp_path / "run")
    run = Run.open(tmp_path / "run")

    assert run.summary() == summary
    assert (summary.status, summary.recipe, summary.dataset, summary.epochs) == ("finished", "tiny", "tiny", 3)
    assert summary.parameters == sum(p.numel() for p in run.classifier().network.parameters())
    assert 0 < summary.train_seconds <= summary.total_seconds
    assert summary.error is None
    assert run.recipe() == settled.recipe
    assert (run.environment().seed, run.environment().dataset.fingerprint) == (5, settled.dataset.fingerprint)
    assert run.classifier().class_names == settled.dataset.class_names
    assert run.checkpoint().state["position"]["epoch"] == 3


def test_the_history_has_a_line_an_epoch(plan, tmp_path):
    train(plan("training.epochs=3", "optimiser.learning_rate=0.002"), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]

    assert [list(line) for line in lines] == [KEYS] * 3
    assert [(line["epoch"], line["lr"]) for line in lines] == [(1, 0.002), (2, 0.002), (3, 0.002)]
    assert sum(line["seconds"] for line in lines) < Run(tmp_path / "run").summary().train_seconds


def test_a_network_learns_what_can_be_learned(plan, tmp_path):
    settled = plan("training.epochs=6")
    summary = train(settled, tmp_path / "run")

    assert summary.val_accuracy >= 0.95
    test = settled.dataset.test
    assert (Run(tmp_path / "run").classifier().probabilities(test.pixels).argmax(1) == test.labels).mean() >= 0.9


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(plan, weights, tmp_path, precision):
    changes = ("training.epochs=1", "model.architecture=strided", "augmentation.rotation=20")
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        train(plan(*changes, seed=seed, precision=precision), tmp_path / name)

    assert same(weights(tmp_path / "one"), weights(tmp_path / "again"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_on_two_threads(weights, tmp_path):
    argument, recipe = "shapes:train=600,test=30", loading.load("strided-augmented", ["training.epochs=1"])
    settled = Plan(recipe, load(argument), argument, seed=1, precision="bf16")
    torch.set_num_threads(2)
    for name in ("one", "again"):
        train(settled, tmp_path / name)
    torch.set_num_threads(1)

    assert same(weights(tmp_path / "one"), weights(tmp_path / "again"))


def test_training_never_looks_at_the_test_images(plan, weights, tmp_path):
    settled = plan("training.epochs=1")
    test = settled.dataset.test
    unlike = replace(settled.dataset, test=replace(test, pixels=255 - test.pixels, labels=test.labels[::-1]))
    for name, dataset in (("one", settled.dataset), ("other", unlike)):
        train(replace(settled, dataset=dataset), tmp_path / name)

    assert same(weights(tmp_path / "one"), weights(tmp_path / "other"))
    one, other = (Run(tmp_path / name) for name in ("one", "other"))
    assert one.summary().val_accuracy == other.summary().val_accuracy
    assert one.classifier().temperature == other.classifier().temperature


def test_confidence_is_calibrated_on_the_validation_images(plan, tmp_path):
    settled = plan("training.epochs=1")
    train(settled, tmp_path / "run")
    classifier = Run(tmp_path / "run").classifier()
    held_back = cut(settled.dataset, settled.recipe.data, settled.seed).validation

    def loss(temperature):
        probabilities = replace(classifier, temperature=temperature).probabilities(held_back.pixels)
        return -np.log(probabilities[np.arange(len(held_back)), held_back.labels]).mean()

    found = classifier.temperature
    assert found != 1
    assert loss(found) < min(loss(1.0), loss(1.5 * found), loss(found / 1.5))


def test_a_training_in_bfloat16_measures_how_far_that_can_be_trusted(plan, monkeypatch, tmp_path):
    monkeypatch.setattr("tinysight.models.classifier.native_bf16", lambda: True)
    for precision in ("fp32", "bf16"):
        train(plan("training.epochs=1", precision=precision), tmp_path / precision)
    assert Run(tmp_path / "fp32").classifier().doubt is None

    settled, classifier = plan("training.epochs=1"), Run(tmp_path / "bf16").classifier()
    held_back = cut(settled.dataset, settled.recipe.data, settled.seed).validation
    exact = replace(classifier, doubt=None).logits(held_back.pixels)
    rough = replace(classifier, doubt=0.0).logits(held_back.pixels)
    assert 0 < classifier.doubt < 1
    assert not torch.equal(rough, exact)
    clear = lead(rough) > classifier.doubt
    assert torch.equal(rough[clear].argmax(1), exact[clear].argmax(1))


def test_the_validation_accuracy_is_that_of_the_weights_kept(plan, tmp_path):
    settled = plan("training.epochs=1")
    summary = train(settled, tmp_path / "run")

    assert recomputed(tmp_path / "run", settled)[1] == pytest.approx(summary.val_accuracy)
    assert summary.val_accuracy == Run(tmp_path / "run").history()[-1].val_accuracy


# The accuracy jumps to nine tenths or so; what then follows does not count as an improvement, though it is one.
STOPPING = (
    "training.epochs=20",
    "early_stopping.monitor=val_accuracy",
    "early_stopping.min_delta=0.2",
    "early_stopping.patience=2",
)


def test_early_stopping_ends_the_training_and_keeps_the_best_weights(plan, tmp_path):
    settled = plan(*STOPPING, "early_stopping.restore_best=true")
    summary = train(settled, tmp_path / "run")
    history = Run(tmp_path / "run").history()
    best, last = history[-3], history[-1]

    assert summary.epochs == len(history) < 20
    assert summary.val_accuracy == best.val_accuracy != last.val_accuracy
    assert recomputed(tmp_path / "run", settled) == pytest.approx((best.val_loss, best.val_accuracy), rel=1e-4)


def test_early_stopping_keeps_the_last_weights_unless_asked_for_the_best(plan, tmp_path):
    settled = plan(*STOPPING)
    summary = train(settled, tmp_path / "run")
    last = Run(tmp_path / "run").history()[-1]

    assert summary.epochs < 20
    assert summary.val_accuracy == last.val_accuracy
    assert recomputed(tmp_path / "run", settled) == pytest.approx((last.val_loss, last.val_accuracy), rel=1e-4)


def test_the_progress_is_told_of_every_image_and_every_epoch(plan, tmp_path):
    recorder = Recorder()
    train(plan("training.epochs=2"), tmp_path / "run", progress=recorder)

    assert recorder.tasks == [("epoch 1/2", 160, "images"), ("epoch 2/2", 160, "images")]
    assert recorder.amounts == [160, 160]
    last = Run(tmp_path / "run").history()[-1]
    assert recorder.figures == {"loss": last.loss, "accuracy": last.accuracy}
    lines = [line for line in recorder.lines if line]
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2/2 ")
    assert f"(val {last.val_accuracy:.3f})" in lines[1]


def test_a_folder_that_holds_something_is_not_written_to(plan, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(RunError, match=r"already exists\. Choose another --out"):
        train(plan(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_plan_that_cannot_work_leaves_no_directory(plan, tmp_path):
    with pytest.raises(DataError):
        train(plan("data.split=first-10000"), tmp_path / "run")

    assert list(tmp_path.iterdir()) == []
