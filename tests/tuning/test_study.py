"""A study is shared: nothing is taken twice, nothing is lost but what a dead process had in hand."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tinysight.errors import RunError
from tinysight.tuning.study import Study, best_of

TAKE_AND_WAIT = """
import sys, time
from pathlib import Path
from tinysight.tuning.study import Study

study = Study.open(Path(sys.argv[1]))
with study.joined():
    study.search()
    print("taken", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def stranger(study):
    """Another process that has taken a trial and would never finish it."""
    command = [sys.executable, "-c", TAKE_AND_WAIT, str(study.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "taken\n"
        yield process
        process.kill()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_the_first_trial_is_the_recipe_as_it_is(study):
    task = study.search()
    assert (task.kept.number, study.trial_recipe(task.values)) == (0, study.record.recipe)


def test_later_trials_are_others(study, search):
    search(0.5, 0.4, 0.6)
    tried = [str(trial.values) for trial in study.trials()]
    assert len(set(tried)) == 3


def test_the_first_trials_differ_from_the_start_in_a_few_values_each(study, search):
    search(*[0.5] * 12)
    differing = [len(study.space.changes(trial.values)) for trial in study.trials()]
    assert differing[0] == 0
    assert all(1 <= count <= 3 for count in differing[1:10])
    assert max(differing[10:]) > 3


def test_every_process_sees_what_the_others_found(study, other, ended):
    study.search().finish(ended(0.5))
    other.search().finish(ended(0.7))
    assert study.trials() == other.trials()
    assert [trial.accuracy for trial in study.trials()] == [0.5, 0.7]
    assert [trial.worker for trial in study.trials()] == [0, 1]


def test_no_trial_is_taken_twice(study, ended):
    def work(_):
        own = Study.open(study.path)
        with own.joined():
            for _ in range(5):
                own.search().finish(ended())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    trials = study.trials()
    assert [trial.number for trial in trials] == list(range(20))
    assert [trial.state for trial in trials] == ["finished"] * 20
    assert sum(trial.values == study.space.start for trial in trials) == 1


def test_what_a_killed_process_had_in_hand_is_lost_and_the_start_is_made_again(study, stranger):
    assert [trial.state for trial in study.trials()] == ["running"]
    study.settle()
    assert [trial.state for trial in study.trials()] == ["running"]  # it lives
    kill(stranger)
    task = study.search()
    assert study.trials()[0].state == "lost"
    assert task.values == study.space.start


def test_a_lost_trial_that_was_not_the_start_is_not_made_again(study, search, request):
    search(0.5)
    kill(request.getfixturevalue("stranger"))
    lost = study.trials()[1].values
    assert lost not in [study.search().values for _ in range(3)]
    assert [trial.state for trial in study.trials()] == ["finished", "lost", "running", "running", "running"]


def test_a_start_that_failed_is_not_made_again_and_one_that_was_stopped_is(study, ended):
    study.search().finish(ended(0, "stopped"))
    study.search().finish(ended(0, "failed", "The loss became nan."))
    study.search().finish(ended(0.3))
    assert [trial.values == study.space.start for trial in study.trials()] == [True, True, False]
    assert study.trials()[1].error == "The loss became nan."


def test_half_a_line_of_a_killed_process_harms_nobody(study, search, ended):
    search(0.5)
    with study.journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    again = Study.open(study.path)
    with again.joined():
        again.search().finish(ended(0.6))
    assert [trial.accuracy for trial in Study.open(study.path).trials()] == [0.5, 0.6]
    assert all(json.loads(line) for line in study.journal.read_text().splitlines())


def test_a_killed_process_leaves_the_journal_free(study, stranger, wait_for):
    """A process is killed while it holds the lock on the journal, which it takes for every line that it writes."""
    kill(stranger)
    holder = "import fcntl, sys, time; file = open(sys.argv[1], 'ab'); fcntl.flock(file, 2); print(1, flush=True)"
    command = [sys.executable, "-c", f"{holder}; time.sleep(600)", str(study.journal)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process, ThreadPoolExecutor(1) as pool:
        process.stdout.readline()
        waiting = pool.submit(study.search)
        kill(process)
        assert wait_for(waiting.done)
        assert waiting.result().values


def test_a_journal_that_is_none_is_refused(study):
    study.journal.write_text("not a journal\nat all\n")
    with pytest.raises(RunError, match=r"study\.journal is damaged"):
        Study.open(study.path)


def test_something_else_is_left_alone(tmp_path, record):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="exists already and is no study"):
        Study.begin(tmp_path, record)


def test_who_comes_second_joins_the_study_that_the_first_has_made(study, record):
    assert Study.begin(study.path, record.model_copy(update={"seed": 1})).record.seed == 0


def test_bad_trials_are_given_up_and_good_ones_are_not(study, ended):
    for _ in range(4):
        task = study.search()
        task.report(1, 0.5)
        task.finish(ended(0.6))
    assert study.search().report(1, 0.3)
    assert not study.search().report(1, 0.55)


def test_the_start_and_the_best_take_turns_with_the_same_fresh_seeds(study, search):
    search(0.5, 0.7, 0.6)
    turns = [study.train_again() for _ in range(4)]
    assert [(task.of, task.fresh) for task in turns] == [(0, 1), (1, 1), (0, 2), (1, 2)]
    assert turns[0].seed == turns[1].seed
    assert len({study.record.seed, turns[0].seed, turns[2].seed}) == 3
    assert turns[1].values == best_of(study.trials()).values


@pytest.mark.parametrize("accuracies", [[], [0.5], [0.5, 0.4]])
def test_nothing_is_trained_again_unless_something_came_further_than_the_start(study, search, accuracies):
    search(*accuracies)
    assert study.train_again() is None


def test_a_training_with_a_fresh_seed_that_was_lost_is_made_again(study, other, search):
    search(0.5, 0.7)
    assert (other.train_again().of, study.train_again().of) == (0, 1)
    os.unlink(study.path / "workers" / "1")  # as if its process had never lived
    task = study.train_again()
    assert (task.of, task.fresh) == (0, 1)


def test_what_matters_is_said_once_there_are_enough_trials(study, search):
    search(*[0.5] * 9)
    assert study.importance() == {}
    search(0.9)
    shares = study.importance()
    assert set(shares) == set(study.space.distributions)
    assert sum(shares.values()) == pytest.approx(1)
