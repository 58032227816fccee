"""The command line as a whole: its help, its errors, and the way it starts."""

import subprocess
import sys

import pytest

VERBS = ["train", "evaluate", "predict", "preview", "summary", "doctor", "recipes", "data"]


def run(*arguments):
    command = [sys.executable, "-m", "tinysight", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_lists_every_verb_on_standard_output():
    answer = run("--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    for verb in VERBS:
        assert f" {verb} " in answer.stdout


def test_a_typing_error_is_answered_in_one_line_on_standard_error():
    answer = run("train", "depe")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "error: Unknown recipe 'depe'. Did you mean 'deep'?\n"


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m tinysight recipes check deep | true"
    answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert answer.stderr == ""


@pytest.mark.parametrize("verb", [*VERBS, "recipes list", "recipes copy", "data info", "data show", "data download"])
def test_every_verb_explains_itself(tinysight, verb):
    outcome = tinysight(*verb.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"Usage: tinysight {verb}" in outcome.out


@pytest.mark.parametrize(
    "arguments", [["trian"], ["--colour"], ["recipes", "delete"], ["evaluate"], ["data", "show", "x"]]
)
def test_wrong_usage_is_exit_code_2(tinysight, arguments):
    outcome = tinysight(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert arguments[-1].strip("-") in outcome.err or "RUN" in outcome.err


def test_without_a_verb_there_is_help(tinysight):
    assert " train " in tinysight().out


def test_ctrl_c_outside_of_training_is_one_word_and_exit_code_1(tinysight, finished_run, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinysight.evaluation.evaluate.evaluate", interrupted)
    assert tinysight("evaluate", finished_run).refusal(1) == "Interrupted."


def test_too_little_memory_is_said_in_a_sentence(tinysight, finished_run, monkeypatch):
    def greedy(*arguments):
        raise MemoryError

    monkeypatch.setattr("tinysight.evaluation.evaluate.evaluate", greedy)
    assert "not enough memory for this; take fewer or smaller images" in tinysight("evaluate", finished_run).refusal(1)
