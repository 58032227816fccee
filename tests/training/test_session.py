import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tinysight._util.errors import DataError, RunError
from tinysight._util.progress import SilentProgress
from tinysight.data.load import load
from tinysight.data.splits import split_dataset
from tinysight.explanation.feature_index import extract_features
from tinysight.models.classifier import top2_margin
from tinysight.models.conformal import SetPromise
from tinysight.models.ood import describe_ood
from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training.request import TrainConfig

KEYS = ["epoch", "seconds", "images_per_second", "loss", "accuracy", "val_loss", "val_accuracy", "lr"]
KEYS += ["val_balanced_accuracy", "val_macro_f1", "val_mean_average_precision"]


class Recorder(SilentProgress):
    """Records the calls of a progress."""

    def __init__(self):
        self.tasks, self.amounts, self.lines = [], [], []

    def start(self, task, total, unit=""):
        self.tasks.append((task, total, unit))
        self.amounts.append(0)

    def advance(self, amount, **metrics):
        self.amounts[-1] += amount
        self.metrics = metrics

    def finish(self, line=""):
        self.lines.append(line)


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def validate(path, plan):
    """Return loss and accuracy of the weights in `path` on the validation images."""
    split = split_dataset(plan.dataset, plan.recipe.data, plan.seed).validation
    uncalibrated = Run(path).classifier().with_spec(temperature=1.0)
    probabilities = uncalibrated.probabilities(split.pixels)
    correct = probabilities.argmax(1) == split.labels
    return -np.log(probabilities[np.arange(len(split)), split.labels]).mean(), correct.mean()


def test_training_writes_a_complete_run(train, plan, tmp_path):
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


def test_the_history_has_one_line_per_epoch(train, plan, tmp_path):
    train(plan("training.epochs=3", "optimizer.learning_rate=0.002"), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]

    assert [list(line) for line in lines] == [KEYS] * 3
    assert [(line["epoch"], line["lr"]) for line in lines] == [(1, 0.002), (2, 0.002), (3, 0.002)]
    assert sum(line["seconds"] for line in lines) < Run(tmp_path / "run").summary().train_seconds


def test_a_network_learns(train, plan, tmp_path):
    settled = plan("training.epochs=6")
    summary = train(settled, tmp_path / "run")

    assert summary.val_accuracy >= 0.95
    test = settled.dataset.test
    assert (Run(tmp_path / "run").classifier().probabilities(test.pixels).argmax(1) == test.labels).mean() >= 0.9


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_weights_are_reproducible_and_depend_on_the_seed(train, plan, weights, tmp_path, precision):
    changes = ("training.epochs=1", "model.architecture=strided", "augmentation.rotation=20")
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        train(plan(*changes, seed=seed, precision=precision), tmp_path / name)

    assert same(weights(tmp_path / "one"), weights(tmp_path / "again"))
    assert not same(weights(tmp_path / "one"), weights(tmp_path / "other"))


@pytest.mark.slow
def test_weights_are_reproducible_on_two_threads(train, weights, tmp_path):
    argument, recipe = "shapes:train=200,test=30", loading.load_recipe("strided-augmented", ["training.epochs=1"])
    settled = TrainConfig(recipe, load(argument), argument, tmp_path, seed=1, precision="bf16")
    torch.set_num_threads(2)
    for name in ("one", "again"):
        train(settled, tmp_path / name)
    torch.set_num_threads(1)

    assert same(weights(tmp_path / "one"), weights(tmp_path / "again"))


def test_training_does_not_depend_on_the_test_images(train, plan, weights, tmp_path):
    settled = plan("training.epochs=1")
    test = settled.dataset.test
    inverted = replace(settled.dataset, test=replace(test, pixels=255 - test.pixels, labels=test.labels[::-1]))
    for name, dataset in (("one", settled.dataset), ("other", inverted)):
        train(replace(settled, dataset=dataset), tmp_path / name)

    assert same(weights(tmp_path / "one"), weights(tmp_path / "other"))
    first, second = (Run(tmp_path / name) for name in ("one", "other"))
    assert first.summary().val_accuracy == second.summary().val_accuracy
    assert first.classifier().spec.temperature == second.classifier().spec.temperature


def test_the_temperature_is_fitted_on_the_validation_images(train, plan, tmp_path):
    settled = plan("training.epochs=1")
    train(settled, tmp_path / "run")
    classifier = Run(tmp_path / "run").classifier()
    held_back = split_dataset(settled.dataset, settled.recipe.data, settled.seed).validation

    def loss(temperature):
        probabilities = classifier.with_spec(temperature=temperature).probabilities(held_back.pixels)
        return -np.log(probabilities[np.arange(len(held_back)), held_back.labels]).mean()

    fitted = classifier.spec.temperature
    assert fitted != 1
    assert loss(fitted) < min(loss(1.0), loss(1.5 * fitted), loss(fitted / 1.5))


def test_prediction_sets_are_calibrated_on_the_validation_images(train, plan, tmp_path):
    settled = plan("training.epochs=1")
    train(settled, tmp_path / "run")
    classifier = Run(tmp_path / "run").classifier()
    held_back = split_dataset(settled.dataset, settled.recipe.data, settled.seed).validation
    of_true_class = classifier.probabilities(held_back.pixels)[np.arange(len(held_back)), held_back.labels]
    rank = int(np.ceil(0.95 * (len(held_back) + 1)))
    expected = np.sort(of_true_class)[::-1][rank - 1] if rank <= len(held_back) else 0
    assert classifier.set_threshold == pytest.approx(expected, abs=1e-6)
    assert classifier.spec.set_promise == SetPromise(len(held_back))


def test_the_detector_stores_training_images_and_marks_5_percent_of_the_validation_images(detecting):
    run = Run(detecting)
    classifier, dataset = run.classifier().with_spec(bf16_margin=None), load("shapes:train=200,test=30")
    split = split_dataset(dataset, run.recipe().data, run.environment().seed)
    embeddings = extract_features(classifier, split.train.pixels[split.train_indices])
    nearest = (classifier.detector.features.float() @ embeddings.T).max(1)
    assert len(classifier.detector.features) == len(split.train_indices) == 160
    assert nearest.indices.unique().numel() == 160
    assert nearest.values.numpy() == pytest.approx(1, abs=1e-3)
    scores = np.sort(classifier.outputs(split.validation.pixels).ood_scores)
    assert classifier.ood_threshold == pytest.approx(scores[39 - 1], rel=1e-4)  # ceil(0.95 * (40 + 1)) of 40


def test_too_few_validation_images_give_no_detector_and_a_note(train, plan, tmp_path):
    progress = Recorder()
    progress.note = progress.lines.append
    train(plan("training.epochs=1", "data.validation_fraction=0.05"), tmp_path / "run", progress=progress)
    classifier = Run(tmp_path / "run").classifier()
    assert (classifier.detector, classifier.ood_threshold) == (None, None)
    n = classifier.spec.n_calibration
    assert describe_ood(None, n) in progress.lines
    assert f"{n} validation images are too few" in describe_ood(None, n)


def test_bf16_training_fits_the_margin_for_bf16_predictions(train, plan, monkeypatch, tmp_path):
    monkeypatch.setattr("tinysight.models.classifier.native_bf16", lambda: True)
    for precision in ("fp32", "bf16"):
        train(plan("training.epochs=1", precision=precision), tmp_path / precision)
    assert Run(tmp_path / "fp32").classifier().spec.bf16_margin is None

    settled, classifier = plan("training.epochs=1"), Run(tmp_path / "bf16").classifier()
    held_back = split_dataset(settled.dataset, settled.recipe.data, settled.seed).validation
    fp32 = classifier.with_spec(bf16_margin=None).logits(held_back.pixels)
    bf16 = classifier.with_spec(bf16_margin=0.0).logits(held_back.pixels)
    assert 0 < classifier.spec.bf16_margin < 1
    assert not torch.equal(bf16, fp32)
    clear = top2_margin(bf16) > classifier.spec.bf16_margin
    assert torch.equal(bf16[clear].argmax(1), fp32[clear].argmax(1))


def test_the_validation_accuracy_is_that_of_the_saved_weights(train, plan, tmp_path):
    settled = plan("training.epochs=1")
    summary = train(settled, tmp_path / "run")

    assert validate(tmp_path / "run", settled)[1] == pytest.approx(summary.val_accuracy)
    assert summary.val_accuracy == Run(tmp_path / "run").history()[-1].val_accuracy


# The accuracy jumps to about 0.9; later improvements are smaller than min_delta.
STOPPING = (
    "training.epochs=20",
    "early_stopping.monitor=val_accuracy",
    "early_stopping.min_delta=0.2",
    "early_stopping.patience=2",
)


def test_early_stopping_restores_the_best_weights(train, plan, tmp_path):
    settled = plan(*STOPPING, "early_stopping.restore_best_weights=true")
    summary = train(settled, tmp_path / "run")
    history = Run(tmp_path / "run").history()
    best, last = history[-3], history[-1]

    assert summary.epochs == len(history) < 20
    assert summary.val_accuracy == best.val_accuracy != last.val_accuracy
    assert validate(tmp_path / "run", settled) == pytest.approx((best.val_loss, best.val_accuracy), rel=1e-4)


def test_early_stopping_keeps_the_last_weights_by_default(train, plan, tmp_path):
    settled = plan(*STOPPING)
    summary = train(settled, tmp_path / "run")
    last = Run(tmp_path / "run").history()[-1]

    assert summary.epochs < 20
    assert summary.val_accuracy == last.val_accuracy
    assert validate(tmp_path / "run", settled) == pytest.approx((last.val_loss, last.val_accuracy), rel=1e-4)


def test_the_progress_counts_all_images_and_epochs(train, plan, tmp_path):
    recorder = Recorder()
    train(plan("training.epochs=2"), tmp_path / "run", progress=recorder)

    assert recorder.tasks == [("epoch 1/2", 160, "images"), ("epoch 2/2", 160, "images")]
    assert recorder.amounts == [160, 160]
    last = Run(tmp_path / "run").history()[-1]
    assert recorder.metrics == {"loss": last.loss, "accuracy": last.accuracy}
    lines = [line for line in recorder.lines if line]
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2/2 ")
    assert f"(val {100 * last.val_accuracy:.1f}%)" in lines[1]


def test_a_directory_that_is_not_empty_is_rejected(train, plan, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(RunError, match=r"already exists\. Choose another directory"):
        train(plan(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_failing_split_leaves_no_directory(train, plan, tmp_path):
    with pytest.raises(DataError):
        train(plan("data.split=first-10000"), tmp_path / "run")

    assert list(tmp_path.iterdir()) == []
