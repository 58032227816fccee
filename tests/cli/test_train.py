"""`tinysight train`: writes a run, or prints one error and writes nothing."""

import errno
import json
import math
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tinysight.recipes import loading
from tinysight.runs.run import Run
from tinysight.training.budget import TimeBudget
from tinysight.training.trainer import Trainer

STEP = Trainer.step
SHAPES = ("--data", "shapes:train=100,test=30", "--precision", "fp32")


def test_a_run_gets_the_first_free_name(tinysight):
    Path("runs/strided-1").mkdir(parents=True)
    outcome = tinysight("train", "strided", *SHAPES, "--epochs", 1)
    assert outcome.code == 0
    pattern = (
        r"finished: strided on shapes, 1 epoch in \d+\.\d s, validation accuracy \d+\.\d% "
        r"\(n = 10, \d+\.\d% to \d+\.\d%; always '[a-z]+' would be right for 10\.0%\), "
        r"balanced \d+\.\d% \(always one class: 10\.0%\)"
    )
    assert re.fullmatch(pattern, outcome.out.splitlines()[0])
    assert outcome.out.splitlines()[1:] == ["run:  runs/strided-2"]
    assert outcome.next == "tinysight evaluate runs/strided-2"
    assert json.loads(Path("runs/strided-2/summary.json").read_text())["status"] == "finished"


def test_notices_and_one_line_per_epoch_go_to_standard_error(tinysight):
    outcome = tinysight("train", "strided", *SHAPES, "--epochs", 2)
    notice, first, second, *warnings, _ = outcome.err.splitlines()
    assert "synthetic images" in notice
    assert "All predictions are unsure" in " ".join(warnings)
    assert first.startswith("epoch 1/2  ")
    assert second.startswith("epoch 2/2  ")
    loss, accuracy = r"loss \d\.\d{3} \(val \d\.\d{3}\)", r"accuracy [\d.]+% \(val [\d.]+%\)"
    assert re.fullmatch(rf"epoch 2/2  [\d,]+ images/s  {loss}  {accuracy}", second)
    assert len(second) <= 80


def test_loggers_are_chosen_by_name(tinysight, monkeypatch):
    assert tinysight("train", "strided", *SHAPES, "--epochs", 1, "--log", "csv", "--out", "run").code == 0
    header, row = Path("run/history.csv").read_text().splitlines()
    assert header.startswith("epoch,seconds,")
    assert row.startswith("1,")
    monkeypatch.setattr("tinysight._util.optional_deps.version", lambda name: None)
    outcome = tinysight("train", "strided", *SHAPES, "--log", "csv", "--log", "mlflow", "--out", "other")
    assert "Run pip install 'tinysight[mlflow]'" in outcome.refusal()
    assert not Path("other").exists()


def test_the_recipe_is_saved_with_every_override(tinysight):
    tinysight("train", "strided", *SHAPES, "--epochs", 1, "--set", "optimizer.name=adam", "--out", "run")
    kept = tinysight("recipes", "check", "run/recipe.toml").out
    expected = ["--set", "optimizer.name=adam", "--set", "training.epochs=1"]
    assert kept == tinysight("recipes", "check", "strided", *expected).out


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["depe"], "Unknown recipe 'depe'. Did you mean 'deep'?"),
        (["deep", "--set", "training.epoch=3"], "deep: unknown key 'training.epoch'. Did you mean 'epochs'?"),
        (["deep", "--data", "nowhere"], "'nowhere': no such dataset or folder. Known: cifar10, shapes."),
        (["deep", "--data", "shape"], "Did you mean 'shapes'?"),
        (["deep", "--data", "shapes:trian=100"], "Did you mean 'train'?"),
        (["deep", "--data", "shapes:train=3"], "shapes: 3 train images are too few"),
        (["deep", "--data", "cifar10", "--data-dir", "."], ".: no CIFAR-10"),
        (["deep", "--data", "cifar10", "--set", "data.image_size=64"], "cifar10: images are 32x32, not 64x64"),
        (["deep", "--resume"], "--resume: needs the run to resume. Set --out RUN."),
        (["deep", "--epochs", 3, "--minutes", 1], "epochs and minutes: both set the training length. Use one of them."),
        (
            ["fast"],
            "recipe fast: the network depends on the time budget. Set training.minutes, or model.stem_stride and",
        ),
        (["fast", "--minutes", 1, "--set", "model.stem_stride=1"], "stem_stride and channels require each other"),
        (["deep", *SHAPES, "--resume", "--out", "nowhere"], "nowhere: no run directory"),
        (["deep", *SHAPES, "--out", "../run"], "../run: already exists. Choose another directory"),
        (["early-stopping", *SHAPES, "--epochs", 2, "--out", "../run", "--resume"], "../run: the run is finished."),
    ],
)
def test_invalid_arguments_give_one_error_and_write_nothing(tinysight, finished_run, arguments, advice):
    before = (finished_run / "summary.json").read_bytes()
    outcome = tinysight("train", *arguments)
    assert advice in outcome.refusal()
    assert outcome.out == ""
    assert list(Path().iterdir()) == []
    assert (finished_run / "summary.json").read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        (
            ["--epochs", 3],
            "../run: the run was started with a different recipe: training.epochs is 3, not 2. Resume it with the "
            "recipe in its recipe.toml, or start a new run from its weights.",
        ),
        (["--seed", 1], "../run: the run was started with seed 0 and precision fp32. Resume it with the same."),
        (
            ["--data", "shapes:train=100,test=30,seed=1"],
            "../run: the run was started with dataset shapes:train=100,test=30. Resume it with the same.",
        ),
    ],
)
def test_resuming_with_other_settings_is_rejected(tinysight, finished_run, changes, advice):
    run = Run(finished_run)
    run.write_summary(run.summary().model_copy(update={"status": "interrupted"}))
    before = {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()}
    outcome = tinysight("train", "early-stopping", *SHAPES, "--epochs", 2, *changes, "--out", "../run", "--resume")
    assert advice in outcome.refusal()
    assert {path: path.read_bytes() for path in finished_run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "arguments", [["--log", "wandb"], ["--epoch", "3"], ["--epochs", "0"], ["--precision", "fp64"], ["--seed", "-1"]]
)
def test_an_unknown_or_invalid_option_is_named(tinysight, arguments):
    outcome = tinysight("train", "deep", *arguments)
    assert outcome.code == 2
    assert arguments[0] in outcome.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("out", ["file", "file/run", "long" * 100])
def test_an_invalid_run_directory_is_rejected(tinysight, out):
    Path("file").write_text("mine")
    outcome = tinysight("train", "strided", *SHAPES, "--out", out)
    assert outcome.code in (1, 2)
    assert outcome.err.splitlines()[-1].startswith("error: ")
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_a_full_disk_gives_one_error(tinysight, disk):
    Path("run").mkdir()
    disk.fails["fsync"] = errno.ENOSPC
    outcome = tinysight("train", "strided", *SHAPES, "--out", "run")
    assert "the disk is full. Free some space and try again" in outcome.refusal(1)
    assert list(Path("run").iterdir()) == []


def test_a_read_only_directory_is_rejected(tinysight, disk):
    disk.fails["mkdir"] = errno.EROFS
    assert "the folder is read-only. Choose another folder" in tinysight("train", "strided", *SHAPES).refusal(1)


def test_the_resume_command_repeats_every_option(tinysight, photos, monkeypatch):
    monkeypatch.setattr(Trainer, "step", lambda trainer: signal.raise_signal(signal.SIGINT) or STEP(trainer))
    options = ["--data", str(photos), "--out", "my run", "--seed", "3", "--data-dir", "over there"]
    options += [
        "--precision",
        "fp32",
        "--set",
        "optimizer.name=adam",
        "--set",
        "training.epochs=7",
        "--skip-unreadable",
    ]
    outcome = tinysight("train", "deep", *options)
    assert outcome.code == 1
    assert shlex.split(outcome.next) == ["tinysight", "train", "deep", *options, "--resume"]


def test_unavailable_cuda_is_rejected(tinysight, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "device cuda: torch finds no CUDA GPU" in tinysight("train", "deep", *SHAPES, "--device", "cuda").refusal()
    assert list(Path().iterdir()) == []


@pytest.fixture
def _ten_steps(monkeypatch):
    """Any time budget ends after ten steps."""
    monkeypatch.setattr(TimeBudget, "progress", lambda clock, steps_done: min(1.0, steps_done / 10))


@pytest.mark.usefixtures("_ten_steps")
def test_a_time_budget_gives_a_network_and_a_run(tinysight):
    outcome = tinysight("train", "fast", "--minutes", 5, *SHAPES, "--out", "run")
    assert outcome.code == 0
    assert "; no accuracy forecast for this dataset; done by " in outcome.err
    kept = Run(Path("run")).recipe()
    assert not kept.model.needs_time_budget
    assert kept.training.minutes == 5


@pytest.mark.parametrize("short_run_epochs", [0, math.inf])  # shorter runs get a higher learning rate
@pytest.mark.usefixtures("_ten_steps")
def test_resuming_keeps_the_network_chosen_for_the_time_budget(tinysight, monkeypatch, short_run_epochs):
    monkeypatch.setattr("tinysight.training.forecast.SHORT_RUN_EPOCHS", short_run_epochs)
    command = ["train", "fast", "--minutes", 5, *SHAPES, "--out", "run"]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", lambda trainer: signal.raise_signal(signal.SIGINT) or STEP(trainer))
        assert tinysight(*command).code == 1
    begun = Run(Path("run")).recipe()
    assert (begun.optimizer == loading.load_recipe("fast").optimizer) == (short_run_epochs == 0)
    monkeypatch.setattr("tinysight.training.forecast.forecast_training", None)  # no network is chosen again

    assert tinysight(*command, "--resume").code == 0
    assert Run(Path("run")).recipe() == begun
    assert Run(Path("run")).summary().status == "finished"


@pytest.mark.usefixtures("_ten_steps")
def test_a_run_with_its_own_learning_rate_resumes_with_the_same_rate_only(tinysight, monkeypatch):
    command = ["train", "fast", "--minutes", 5, *SHAPES, "--out", "run"]
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", lambda trainer: signal.raise_signal(signal.SIGINT) or STEP(trainer))
        assert tinysight(*command, "--set", "optimizer.learning_rate=0.1").code == 1
    assert "the run was started with a different recipe" in tinysight(*command, "--resume").refusal()
    assert tinysight(*command, "--set", "optimizer.learning_rate=0.1", "--resume").code == 0


def test_epochs_for_a_recipe_with_a_time_budget_are_rejected(tinysight):
    tinysight("recipes", "copy", "deep", "mine.toml")
    text = Path("mine.toml").read_text().replace("[training]", "[training]\nminutes = 1")
    Path("mine.toml").write_text(text)
    assert "sets training.minutes, so epochs has no effect" in tinysight("train", "mine.toml", "--epochs", 3).refusal()


def test_a_run_that_cannot_be_resumed_is_rejected_before_loading_images(tinysight, finished_run, monkeypatch):
    def load(*arguments):
        raise AssertionError("images were loaded")

    monkeypatch.setattr("tinysight.data.load.load", load)
    assert "typo: no run directory" in tinysight("train", "deep", "--out", "typo", "--resume").refusal()
    assert "the run is finished" in tinysight("train", "deep", "--out", finished_run, "--resume").refusal()


def test_ctrl_c_saves_the_run_and_prints_the_resume_command(tmp_path):
    """Runs in a subprocess, since Ctrl-C is a signal to a process."""
    command = [sys.executable, "-m", "tinysight", "train", "strided", *SHAPES, "--out", "my run", "--epochs", "100000"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as training:
        while "epoch 2/" not in training.stderr.readline():
            pass
        training.send_signal(signal.SIGINT)
        out, err = training.communicate()
    assert training.returncode == 1
    assert "Traceback" not in err
    assert out.startswith("interrupted: strided on shapes, ")
    line = err.splitlines()[-1]
    assert line.startswith("next: ")
    resume_command = shlex.split(line.removeprefix("next: "))
    assert resume_command[0] == "tinysight"

    epochs = json.loads((tmp_path / "my run" / "summary.json").read_text())["epochs"]
    command = [sys.executable, "-m", *resume_command]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as training:
        first_line = ""
        while not first_line.startswith("epoch "):
            first_line = training.stderr.readline()
        training.send_signal(signal.SIGINT)
        out, err = training.communicate()
    assert first_line.startswith(f"epoch {epochs + 1}/100000 ")
    assert (training.returncode, "Traceback" in err) == (1, False)
