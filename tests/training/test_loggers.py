"""Callbacks and loggers: every epoch once and in order, across sessions."""

import csv
import signal
from dataclasses import replace

import pytest

from tinysight._util.errors import InputError, TrainingError
from tinysight._util.progress import SILENT, SilentProgress
from tinysight.runs.records import EpochRecord
from tinysight.runs.run import Run
from tinysight.training import loggers
from tinysight.training.distributed.launch import launch_training
from tinysight.training.loggers import check_loggers
from tinysight.training.request import TrainRequest, check, resolve


class Notes(SilentProgress):
    """Records the notes, and raises SIGINT after so many steps."""

    def __init__(self, steps=0):
        self.notes, self.left = [], steps

    def note(self, message):
        self.notes.append(message)

    def advance(self, amount, **metrics):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def log(train, plan, tmp_path):
    """Return a function that trains three epochs with loggers in one or two sessions, and returns the run."""

    def log(*names, interrupt_at=None):
        config = replace_loggers(plan("training.epochs=3"), names)
        path = tmp_path / "run"
        if interrupt_at is not None:
            assert train(config, path, progress=Notes(interrupt_at)).status == "interrupted"
        assert train(config, path, resume=interrupt_at is not None).status == "finished"
        return Run(path)

    return log


def replace_loggers(config, names):
    return replace(config, loggers=tuple(names))


def test_callbacks_get_the_record_of_every_epoch(train, plan, tmp_path):
    first, second = [], []
    train(plan("training.epochs=3"), tmp_path / "run", callbacks=[first.append, second.append])

    assert first == second == Run(tmp_path / "run").history()
    assert isinstance(first[0], EpochRecord)
    with pytest.raises(ValueError, match="frozen"):
        first[0].loss = 0.0


def test_callbacks_of_a_resumed_run_get_the_new_epochs_only(train, plan, tmp_path):
    first, second = [], []
    train(plan("training.epochs=3"), tmp_path / "run", progress=Notes(10), callbacks=[first.append])
    train(plan("training.epochs=3"), tmp_path / "run", resume=True, callbacks=[second.append])

    assert [epoch.epoch for epoch in first] == [1]
    assert [epoch.epoch for epoch in second] == [2, 3]


def test_an_error_of_a_callback_ends_the_session_after_the_epoch_is_saved(train, plan, tmp_path):
    def fail(epoch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(plan(), tmp_path / "run", callbacks=[fail])

    assert len(Run(tmp_path / "run").history()) == 1
    assert train(plan(), tmp_path / "run", resume=True).status == "finished"


def test_callbacks_need_a_single_worker(recipe, tmp_path):
    request = TrainRequest(recipe(), "shapes", tmp_path / "run")
    with pytest.raises(InputError, match=r"callbacks: are called in this process\. Use one worker, or a logger"):
        launch_training(request, 2, None, SILENT, callbacks=[print])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("interrupt_at", [None, 10])
def test_the_csv_file_has_one_row_per_epoch(log, interrupt_at):
    run = log("csv", interrupt_at=interrupt_at)

    with (run.path / "history.csv").open(newline="") as file:
        rows = [EpochRecord.model_validate_strings(row) for row in csv.DictReader(file)]
    assert rows == run.history()


@pytest.mark.parametrize("interrupt_at", [None, 10])
def test_tensorboard_shows_one_point_per_epoch(log, interrupt_at):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = log("tensorboard", interrupt_at=interrupt_at)

    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    points = events.Scalars("loss/validation")
    assert [point.step for point in points] == [1, 2, 3]
    assert [point.value for point in points] == pytest.approx([epoch.val_loss for epoch in run.history()])
    assert set(events.Tags()["scalars"]) == {
        *("loss/train", "loss/validation", "accuracy/train", "accuracy/validation"),
        *("learning_rate", "images_per_second"),
    }


@pytest.fixture
def mlflow(monkeypatch, tmp_path):
    """An MLflow client of an empty store."""
    module = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "pets")
    return module.MlflowClient(uri)


@pytest.mark.filterwarnings("ignore::Warning")  # MLflow's own
@pytest.mark.parametrize("interrupt_at", [None, 10])
def test_mlflow_has_one_run_with_the_recipe_and_every_epoch(log, mlflow, interrupt_at):
    run = log("mlflow", interrupt_at=interrupt_at)

    (logged,) = mlflow.search_runs([mlflow.get_experiment_by_name("pets").experiment_id])
    assert (logged.info.run_name, logged.info.status) == ("run", "FINISHED")
    assert logged.data.params["recipe"] == "tiny"
    assert logged.data.params["optimizer.learning_rate"] == "0.001"
    assert logged.data.tags["tinysight.run"] == str(run.path)
    accuracies = mlflow.get_metric_history(logged.info.run_id, "accuracy/validation")
    assert [(point.step, point.value) for point in accuracies] == [
        (epoch.epoch, epoch.val_accuracy) for epoch in run.history()
    ]


@pytest.mark.filterwarnings("ignore::Warning")
def test_mlflow_has_the_status_of_an_interrupted_run(train, plan, mlflow, tmp_path):
    train(replace_loggers(plan(), ["mlflow"]), tmp_path / "run", progress=Notes(3))

    (logged,) = mlflow.search_runs([mlflow.get_experiment_by_name("pets").experiment_id])
    assert logged.info.status == "KILLED"


class FailingLogger:
    """Fails in its second epoch."""

    def __init__(self, path, recipe, history, statuses=None):
        self.epochs, self.statuses = len(history), [] if statuses is None else statuses

    def log(self, epoch):
        self.epochs += 1
        if self.epochs == 2:
            raise ConnectionError("the server is gone.\nmore")

    def close(self, status):
        self.statuses.append(status)


def test_a_logger_that_fails_does_not_end_the_training(train, plan, monkeypatch, tmp_path):
    monkeypatch.setitem(loggers._LOGGERS, "mlflow", FailingLogger)
    progress = Notes()
    config = replace_loggers(plan("training.epochs=3"), ["mlflow", "csv"])

    assert train(config, tmp_path / "run", progress=progress).status == "finished"
    assert progress.notes[0] == "logger mlflow: failed (the server is gone). Training goes on without it."
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 4


def test_a_logger_that_cannot_be_opened_does_not_end_the_training(train, plan, tmp_path, monkeypatch):
    monkeypatch.setitem(loggers._LOGGERS, "tensorboard", lambda *arguments: (tmp_path / "no" / "folder").read_text())
    progress = Notes()

    assert train(replace_loggers(plan(), ["tensorboard"]), tmp_path / "run", progress=progress).status == "finished"
    note, *_ = progress.notes
    assert note.startswith("logger tensorboard: failed ([Errno 2] No such file")


def test_loggers_learn_how_a_session_ended(train, plan, monkeypatch, tmp_path):
    statuses = []
    monkeypatch.setitem(loggers._LOGGERS, "csv", lambda *arguments: FailingLogger(*arguments, statuses))
    one = replace_loggers(plan("training.epochs=1"), ["csv"])
    train(one, tmp_path / "finished")
    train(one, tmp_path / "interrupted", progress=Notes(3))
    diverging = replace_loggers(
        plan("optimizer.name=adam", "optimizer.learning_rate=100", "optimizer.beta_2=0", "optimizer.epsilon=1e-30"),
        ["csv"],
    )
    with pytest.raises(TrainingError):
        train(diverging, tmp_path / "failed")

    assert statuses == ["finished", "interrupted", "failed"]


def test_an_unknown_or_missing_logger_is_rejected_before_loading_images(recipe, monkeypatch, tmp_path):
    def request(name):
        return TrainRequest(recipe(), "shapes", tmp_path / "run", loggers=(name,))

    with pytest.raises(InputError, match=r"logger 'tensorbord': unknown\. Did you mean 'tensorboard'\?"):
        check(request("tensorbord"))
    monkeypatch.setattr("tinysight._util.optional_deps.version", lambda name: None)
    with pytest.raises(InputError, match=r"tensorboard: not installed\. Run pip install 'tinysight\[tensorboard\]'"):
        resolve(request("tensorboard"))
    with pytest.raises(InputError, match=r"tinysight\[mlflow\]"):
        check_loggers(["mlflow"])
    check_loggers(["csv"])


def test_early_stopping_is_reported(train, plan, tmp_path):
    changes = ("training.epochs=30", "early_stopping.monitor=val_accuracy", "early_stopping.min_delta=0.5")
    progress = Notes()
    summary = train(plan(*changes, "early_stopping.patience=2"), tmp_path / "run", progress=progress)
    assert summary.epochs < 30
    note, *_ = progress.notes
    assert note.startswith("Early stopping: val_accuracy has not improved for 2 epochs, since 0.")

    progress = Notes()
    train(plan("training.epochs=2", "early_stopping.patience=5"), tmp_path / "all epochs", progress=progress)
    assert not any(note.startswith("Early stopping") for note in progress.notes)
