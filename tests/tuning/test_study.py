"""A shared study: no trial is taken twice, and only trials of dead processes are lost."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinysight._util.errors import RunError
from tinysight.tuning.study import Study
from tinysight.tuning.trial import best_trial

TAKE_AND_WAIT = """
import sys, time
from pathlib import Path
from tinysight.tuning.study import Study

study = Study.open(Path(sys.argv[1]))
with study.join():
    study.next_trial()
    print("taken", flush=True)
    time.sleep(600)
"""

HOLD_JOURNAL = """
import sys, time
from pathlib import Path
from tinysight._util.locks import file_lock

with file_lock(Path(sys.argv[1], "study.journal.lock")):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def worker(study):
    """Another process that has taken a trial and never finishes it."""
    command = [sys.executable, "-c", TAKE_AND_WAIT, str(study.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_first_trial_is_the_baseline(study):
    task = study.next_trial()
    assert (task.optuna_trial.number, study.trial_recipe(task.values)) == (0, study.record.recipe)


def test_trials_are_distinct(study, search):
    search(0.5, 0.4, 0.6)
    tried = [str(trial.values) for trial in study.trials()]
    assert len(set(tried)) == 3


def test_random_trials_change_at_most_three_values(study, search):
    search(*[0.5] * 12)
    counts = [len(study.space.changes(trial.values)) for trial in study.trials()]
    assert counts[0] == 0
    assert all(1 <= count <= 3 for count in counts[1:10])
    assert max(counts[10:]) > 3


def test_processes_see_each_others_trials(study, second_worker, ended):
    study.next_trial().finish(ended(0.5))
    second_worker.next_trial().finish(ended(0.7))
    assert study.trials() == second_worker.trials()
    assert [trial.score for trial in study.trials()] == [0.5, 0.7]
    assert [trial.worker for trial in study.trials()] == [0, 1]


def test_no_trial_is_taken_twice(study, ended):
    def work(_):
        shared = Study.open(study.path)
        with shared.join():
            for _ in range(5):
                shared.next_trial().finish(ended())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    trials = study.trials()
    assert [trial.number for trial in trials] == list(range(20))
    assert [trial.state for trial in trials] == ["finished"] * 20
    assert sum(trial.values == study.space.baseline for trial in trials) == 1


def test_trial_of_a_killed_process_is_lost_and_the_baseline_is_repeated(study, worker):
    assert [trial.state for trial in study.trials()] == ["running"]
    study.fail_orphans()
    assert [trial.state for trial in study.trials()] == ["running"]  # the process is alive
    kill(worker)
    task = study.next_trial()
    assert study.trials()[0].state == "lost"
    assert task.values == study.space.baseline


def test_lost_trial_other_than_the_baseline_is_not_repeated(study, search, request):
    search(0.5)
    kill(request.getfixturevalue("worker"))
    lost = study.trials()[1].values
    assert lost not in [study.next_trial().values for _ in range(3)]
    assert [trial.state for trial in study.trials()] == ["finished", "lost", "running", "running", "running"]


def test_failed_baseline_is_not_repeated_and_a_stopped_one_is(study, ended):
    study.next_trial().finish(ended(0, "stopped"))
    study.next_trial().finish(ended(0, "failed", "The loss became nan."))
    study.next_trial().finish(ended(0.3))
    assert [trial.values == study.space.baseline for trial in study.trials()] == [True, True, False]
    assert study.trials()[1].error == "The loss became nan."


def test_incomplete_line_of_a_killed_process_is_removed(study, search, ended):
    search(0.5)
    with study.journal_path.open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    second = Study.open(study.path)
    with second.join():
        second.next_trial().finish(ended(0.6))
    assert [trial.score for trial in Study.open(study.path).trials()] == [0.5, 0.6]
    assert all(json.loads(line) for line in study.journal_path.read_text().splitlines())


def test_killed_process_releases_the_journal(study, worker, wait_for):
    """A process is killed while it holds the journal's lock, which it takes for every line."""
    kill(worker)
    command = [sys.executable, "-c", HOLD_JOURNAL, str(study.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process, ThreadPoolExecutor(1) as pool:
        assert process.stdout.readline() == "held\n"
        waiting = pool.submit(study.next_trial)
        kill(process)
        assert wait_for(waiting.done)
        assert waiting.result().values


def test_invalid_journal_is_rejected(study):
    study.journal_path.write_text("not a journal\nat all\n")
    with pytest.raises(RunError, match=r"study\.journal: is damaged\. Restore it from a backup"):
        Study.open(study.path)


def test_directory_of_other_files_is_not_overwritten(tmp_path, record):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="exists and is not a tuning study"):
        Study.create(tmp_path, record)


def test_creating_an_existing_study_opens_it(study, record):
    assert Study.create(study.path, record.model_copy(update={"seed": 1})).record.seed == 0


def test_bad_trials_are_pruned_and_good_ones_are_not(study, ended):
    for _ in range(4):
        task = study.next_trial()
        task.report(1, 0.5)
        task.finish(ended(0.6))
    assert study.next_trial().report(1, 0.3)
    assert not study.next_trial().report(1, 0.55)


def test_baseline_and_best_alternate_with_the_same_new_seeds(study, search):
    search(0.5, 0.7, 0.6)
    tasks = [study.next_reseeded() for _ in range(4)]
    assert [(task.reseed_of, task.reseed_number) for task in tasks] == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert tasks[0].seed == tasks[1].seed
    assert len({study.record.seed, tasks[0].seed, tasks[2].seed}) == 3
    assert tasks[1].values == best_trial(study.trials()).values


@pytest.mark.parametrize("accuracies", [[], [0.5], [0.5, 0.4]])
def test_nothing_is_trained_again_unless_a_trial_beats_the_baseline(study, search, accuracies):
    search(*accuracies)
    assert study.next_reseeded() is None


def test_lost_training_with_a_new_seed_is_repeated(study, second_worker, search):
    search(0.5, 0.7)
    assert (second_worker.next_reseeded().reseed_of, study.next_reseeded().reseed_of) == (0, 1)
    os.unlink(study.path / "workers" / "1")  # as if its process had died
    task = study.next_reseeded()
    assert (task.reseed_of, task.reseed_number) == (0, 1)


def test_importance_needs_ten_finished_trials(study, search):
    search(*[0.5] * 9)
    assert study.importance() == {}
    search(0.9)
    shares = study.importance()
    assert set(shares) == set(study.space.distributions)
    assert sum(shares.values()) == pytest.approx(1)


CURVES = st.lists(st.integers(1, 99).map(lambda percent: percent / 100), min_size=9, max_size=9)


@pytest.fixture
def long_study(tmp_path, record):
    """A study of nine epochs, joined: pruning starts after a third of them."""
    study = Study.create(tmp_path / "long", record.model_copy(update={"epochs": 9}))
    with study.join():
        yield study


def report_all(task, curve):
    """Report a curve until the trial is pruned; return the epoch at which it is, or None."""
    return next((epoch for epoch, accuracy in enumerate(curve, 1) if task.report(epoch, accuracy)), None)


def test_pruning_by_hand(long_study, ended):
    """After epoch 3, the worst quarter of 0.2, 0.4, 0.6 and 0.8 is below 0.35."""
    for accuracy in (0.2, 0.4, 0.6, 0.8):
        task = long_study.next_trial()
        assert report_all(task, [accuracy] * 9) is None  # the first four are never pruned
        task.finish(ended(accuracy))
    for curve, epoch in [
        ([0.34] * 9, 3),
        ([0.0, 0.0, 0.0], 3),
        ([0.36] * 9, None),
        ([0.0, 0.36, 0.0, 0.0], None),  # its best accuracy so far counts
        ([0.1] * 2, None),  # epochs 1 and 2 are never compared
    ]:
        assert report_all(long_study.next_trial(), curve) == epoch


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(curves=st.lists(CURVES, min_size=6, max_size=6))
def test_pruning_equals_numpys_percentile(long_study, record, ended, curves):
    with tempfile.TemporaryDirectory() as folder:
        study, finished = Study.create(Path(folder) / "study", long_study.record), []
        with study.join():
            for curve in curves:
                task, expected = study.next_trial(), None
                if len(finished) >= 4:
                    limits = np.percentile(finished, 25, axis=0)
                    best = np.maximum.accumulate(curve)
                    expected = next((epoch for epoch in range(3, 10) if best[epoch - 1] < limits[epoch - 1]), None)
                assert report_all(task, curve) == expected
                if expected is None:
                    task.finish(ended(curve[-1]))
                    finished.append(curve)


def test_curve_and_result_of_a_trial_are_stored(long_study, ended):
    task = long_study.next_trial()
    assert report_all(task, [0.1, 0.3, 0.2]) is None
    task.finish(ended(0.3, "stopped"))
    (trial,) = Study.open(long_study.path).trials()
    assert (trial.state, trial.curve, trial.score, trial.epochs) == ("stopped", (0.1, 0.3, 0.2), 0.3, 2)


def test_duration_of_a_trial_is_the_median_of_the_finished_ones(study, ended):
    assert study.median_trial_seconds() == study.record.trial_seconds
    for seconds, ending in [(9.0, "finished"), (500.0, "pruned"), (2.0, "finished"), (4.0, "finished")]:
        study.next_trial().finish(replace(ended(0.5, ending), seconds=seconds))
    assert study.median_trial_seconds() == 4.0


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_first_trials_depend_only_on_the_seed(tmp_path, record, ended, seed):
    def values_in(name):
        study = Study.create(tmp_path / name, record.model_copy(update={"seed": seed}))
        with study.join():
            for number in range(4):
                task = study.next_trial()
                assert study.trial_recipe(task.values).training.epochs == record.epochs
                task.finish(ended(0.5 + number / 10))
        return [trial.values for trial in study.trials()]

    assert values_in("a") == values_in("b")


def test_reopened_study_continues_with_all_of_its_trials(study, search, ended):
    search(0.5, 0.7)
    study.next_reseeded().finish(ended(0.6))
    again = Study.open(study.path)
    assert (again.trials(), again.reseeded_trials()) == (study.trials(), study.reseeded_trials())
    with again.join():
        task = again.next_reseeded()
        assert (task.reseed_of, task.reseed_number) == (1, 1)
        assert again.next_trial().optuna_trial.number == 2
    assert again.baseline == study.trials()[0]
