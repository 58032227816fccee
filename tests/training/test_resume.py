import signal
from dataclasses import replace

import pytest
import torch

from tinysight._util.errors import RunError
from tinysight._util.progress import SilentProgress
from tinysight.data.dataset import Split
from tinysight.runs.run import Run
from tinysight.training.environment import describe_environment

SETTINGS = {
    "rmsprop, dropout, augmentation": (
        "model.architecture=strided",
        "augmentation.rotation=30",
        "augmentation.horizontal_flip=true",
        "augmentation.brightness=0.2",
    ),
    "adam, dropout, early stopping": (
        "model.architecture=strided",
        "optimizer.name=adam",
        "optimizer.learning_rate=0.003",
        "early_stopping.patience=1",
        "early_stopping.restore_best_weights=true",
    ),
    "bf16": ("optimizer.name=adam",),
    "sgd, cosine, warm-up": (
        *("optimizer.name=sgd", "optimizer.learning_rate=0.05", "optimizer.momentum=0.9"),
        *("optimizer.weight_decay=0.001", "optimizer.lr_schedule=cosine", "optimizer.warmup_epochs=1.5"),
    ),
    "adamw, batch norm, ghost batches": (
        *("model.architecture=early-stopping", "optimizer.name=adamw", "optimizer.learning_rate=0.003"),
        *("optimizer.weight_decay=0.05", "training.ghost_batch_size=10", "early_stopping.restore_best_weights=true"),
    ),
    "muon, no batch norm": (
        *("model.architecture=strided", "optimizer.name=muon", "optimizer.learning_rate=0.05"),
        *("optimizer.bias_learning_rate=0.05", "optimizer.head_learning_rate=0.05", "optimizer.warmup_epochs=1"),
    ),
    "muon, ghost batches, alternating flips": (
        *("model.architecture=fast", "model.stem_stride=1", "model.channels=[16]", "data.normalization=standardize"),
        *("optimizer.name=muon", "optimizer.learning_rate=0.1", "optimizer.lr_schedule=linear"),
        *("optimizer.bias_learning_rate=1", "optimizer.head_learning_rate=5", "training.ghost_batch_size=10"),
        "training.label_smoothing=0.2",
        *("augmentation.alternating_flip=true", "augmentation.crop_padding=2"),
    ),
}


class CtrlC(SilentProgress):
    """Raises SIGINT after so many steps."""

    def __init__(self, steps):
        self.left = steps

    def advance(self, amount, **metrics):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def configure(plan, setting):
    changes = ("training.epochs=3", *SETTINGS[setting])
    return plan(*changes, seed=3, precision="bf16" if setting == "bf16" else "fp32")


def result(path):
    """Return the tensors and metrics that an interruption must not change."""
    run = Run(path)
    checkpoint, summary = run.checkpoint(), run.summary()
    timeless = [epoch.model_dump(exclude={"seconds", "images_per_second"}) for epoch in run.history()]
    tensors = checkpoint.tensors | {f"kept/{k}": v for k, v in run.classifier().network.state_dict().items()}
    metrics = [summary.status, summary.epochs, summary.val_accuracy, timeless, checkpoint.state["early_stopping"]]
    return tensors, metrics


def assert_same(actual, expected):
    (tensors, metrics), (expected_tensors, expected_metrics) = result(actual), result(expected)
    assert metrics == expected_metrics
    assert tensors.keys() == expected_tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, expected_tensors[name]), name


@pytest.fixture(scope="module")
def uninterrupted(train, plan, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    for setting in SETTINGS:
        train(configure(plan, setting), folder / setting)
    return folder


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("sessions", [[1, 3, 2], [7, 8], [21]], ids=str)  # steps, 7 per epoch
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    train, plan, uninterrupted, setting, sessions, tmp_path
):
    settled, path = configure(plan, setting), tmp_path / "run"
    for number, steps in enumerate(sessions):
        assert train(settled, path, resume=number > 0, progress=CtrlC(steps)).status == "interrupted"
    train(settled, path, resume=True)

    assert_same(path, uninterrupted / setting)


def test_the_early_stopping_state_is_resumed(train, plan, tmp_path):
    settled = plan(
        "training.epochs=20",
        "early_stopping.monitor=val_accuracy",
        "early_stopping.min_delta=0.2",
        "early_stopping.patience=2",
        "early_stopping.restore_best_weights=true",
    )
    epochs = train(settled, tmp_path / "straight").epochs
    train(settled, tmp_path / "run", progress=CtrlC(7 * (epochs - 1) + 3))  # in the last epoch, past the best
    train(settled, tmp_path / "run", resume=True)

    assert epochs < 20
    assert_same(tmp_path / "run", tmp_path / "straight")


def test_an_interrupted_run_predicts_and_reports_only_measured_values(train, plan, tmp_path):
    in_first = train(plan(), tmp_path / "one", progress=CtrlC(3))
    in_second = train(plan(), tmp_path / "two", progress=CtrlC(10))

    assert (in_first.status, in_first.epochs, in_first.val_accuracy) == ("interrupted", 0, None)
    assert (in_second.status, in_second.epochs, in_second.val_accuracy) == ("interrupted", 1, None)
    for name in ("one", "two"):
        assert Run(tmp_path / name).classifier().probabilities(plan().dataset.test.pixels).shape == (40, 4)


def test_an_interrupted_run_restores_the_best_weights_so_far(train, plan, weights, tmp_path):
    changes = ("training.epochs=2", "early_stopping.patience=5", "early_stopping.restore_best_weights=true")
    summary = train(plan(*changes), tmp_path / "run", progress=CtrlC(10))
    train(plan("training.epochs=1"), tmp_path / "one epoch")

    assert summary.val_accuracy == Run(tmp_path / "run").history()[0].val_accuracy
    actual, expected = weights(tmp_path / "run"), weights(tmp_path / "one epoch")
    assert all(torch.equal(actual[name], expected[name]) for name in actual)


def test_ctrl_c_before_the_first_step_leaves_a_resumable_run(train, plan, uninterrupted, monkeypatch, tmp_path):
    def interrupted_describe(*arguments):
        signal.raise_signal(signal.SIGINT)
        return describe_environment(*arguments)

    settled, path = configure(plan, "bf16"), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("tinysight.training.session.describe_environment", interrupted_describe)
        assert train(settled, path).status == "interrupted"
    train(settled, path, resume=True)

    assert_same(path, uninterrupted / "bf16")


def test_seconds_add_up_over_sessions(train, plan, tmp_path):
    first = train(plan(), tmp_path / "run", progress=CtrlC(10))
    second = train(plan(), tmp_path / "run", resume=True)

    assert first.train_seconds < second.train_seconds <= second.total_seconds


@pytest.mark.parametrize("damage", ["truncated", "missing", "altered"])
def test_a_damaged_checkpoint_falls_back_to_the_previous_one(train, plan, uninterrupted, damage, tmp_path):
    settled, path = configure(plan, "bf16"), tmp_path / "run"
    train(settled, path, progress=CtrlC(9))
    train(settled, path, resume=True, progress=CtrlC(3))
    latest = path / "checkpoint/latest.safetensors"
    content = latest.read_bytes()
    if damage == "missing":
        latest.unlink()
    else:
        latest.write_bytes(content[:-1000] if damage == "truncated" else content[:-9] + b"\x01" + content[-8:])

    train(settled, path, resume=True)
    assert_same(path, uninterrupted / "bf16")


def test_a_run_without_a_checkpoint_starts_from_the_beginning(train, plan, uninterrupted, tmp_path):
    settled, path, notes = configure(plan, "bf16"), tmp_path / "run", []
    train(settled, path, progress=CtrlC(2))
    for file in (path / "checkpoint").iterdir():
        file.unlink()
    progress = SilentProgress()
    progress.note = notes.append

    train(settled, path, resume=True, progress=progress)

    assert_same(path, uninterrupted / "bf16")
    note, *_ = notes
    assert note == f"{path}: no checkpoint was written yet. Starting from the beginning."


def test_a_finished_run_cannot_be_resumed(train, plan, tmp_path):
    train(plan("training.epochs=1"), tmp_path / "run")

    with pytest.raises(RunError, match=r"run: the run is finished\. Choose another run directory to train again\."):
        train(plan("training.epochs=1"), tmp_path / "run", resume=True)


def test_a_run_resumes_with_the_same_settings_only(train, plan, tmp_path):
    path = tmp_path / "run"
    train(plan(), path, progress=CtrlC(1))
    pixels = plan().dataset.train.pixels.copy()
    pixels[0, 0, 0, 0] ^= 1
    others = replace(plan().dataset, train=Split(pixels, plan().dataset.train.labels), source="elsewhere")

    for config, problem in [
        (plan("training.epochs=3"), "run: the run was started with a different recipe"),
        (plan(seed=1), "run: the run was started with seed 0 and precision fp32"),
        (plan(precision="bf16"), "run: the run was started with seed 0 and precision fp32"),
        (replace(plan(), data_source="elsewhere"), "run: the run was started with dataset tiny"),
        (replace(plan(), dataset=others), "run: the run was started on other images"),
    ]:
        with pytest.raises(RunError, match=problem):
            train(config, path, resume=True)
    assert train(plan(), path, resume=True).status == "finished"


def test_a_run_in_training_is_rejected(train, plan, tmp_path):
    path = tmp_path / "run"
    train(plan(), path, progress=CtrlC(1))

    with Run(path).training_lock(), pytest.raises(RunError, match="another process is training in this directory"):
        train(plan(), path, resume=True)


def test_changes_of_the_environment_are_reported_and_recorded(train, plan, tmp_path):
    path, progress, notes = tmp_path / "run", SilentProgress(), []
    progress.note = notes.append
    train(plan(), path, progress=CtrlC(1))
    environment = Run(path).environment()
    Run(path).write_environment(environment.model_copy(update={"threads": environment.threads + 2}))

    train(plan(), path, resume=True, progress=progress)

    note, *_ = notes
    change = f"threads: {environment.threads + 2}, now {environment.threads}"
    assert note == f"Resuming, but results will not be bit-identical ({change})."
    assert Run(path).environment().changes == (change,)


def test_moved_images_are_recognized_by_their_fingerprint(train, plan, tmp_path):
    path, moved = tmp_path / "run", replace(plan(), data_source=str(tmp_path / "old"))
    train(moved, path, progress=CtrlC(1))

    assert train(replace(plan(), data_source=str(tmp_path / "new")), path, resume=True).status == "finished"


def test_a_checkpoint_of_another_run_is_rejected(train, plan, tmp_path):
    train(plan(), tmp_path / "one", progress=CtrlC(1))
    train(plan("model.architecture=strided"), tmp_path / "two", progress=CtrlC(1))
    name = "checkpoint/latest.safetensors"
    (tmp_path / "one" / name).write_bytes((tmp_path / "two" / name).read_bytes())

    with pytest.raises(RunError, match="checkpoint: belongs to another run"):
        train(plan(), tmp_path / "one", resume=True)


def test_resuming_without_a_run_is_rejected(train, plan, tmp_path):
    with pytest.raises(RunError, match="no run directory"):
        train(plan(), tmp_path / "run", resume=True)
    assert list(tmp_path.iterdir()) == []
