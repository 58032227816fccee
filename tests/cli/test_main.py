"""The command line as a whole: help, usage errors and exit codes."""

import subprocess
import sys

import pytest

COMMANDS = ["train", "evaluate", "predict", "preview", "summary", "doctor", "recipes", "data"]


def run(*arguments):
    command = [sys.executable, "-m", "tinysight", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_lists_every_command_on_standard_output():
    completed = run("--help")
    assert (completed.returncode, completed.stderr) == (0, "")
    for command in COMMANDS:
        assert f" {command} " in completed.stdout


def test_a_mistyped_recipe_is_one_line_on_standard_error():
    completed = run("train", "depe")
    assert (completed.returncode, completed.stdout) == (2, "")
    assert completed.stderr == "error: Unknown recipe 'depe'. Did you mean 'deep'?\n"


def test_a_closed_pipe_is_not_an_error():
    command = f"{sys.executable} -m tinysight recipes check deep | true"
    completed = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert completed.stderr == ""


@pytest.mark.parametrize(
    "command", [*COMMANDS, "recipes list", "recipes copy", "data info", "data show", "data download"]
)
def test_every_command_has_help(tinysight, command):
    outcome = tinysight(*command.split(), "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"Usage: tinysight {command}" in outcome.out


@pytest.mark.parametrize(
    "arguments", [["trian"], ["--color"], ["recipes", "delete"], ["evaluate"], ["data", "show", "x"]]
)
def test_usage_errors_exit_with_code_2(tinysight, arguments):
    outcome = tinysight(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert arguments[-1].strip("-") in outcome.err or "RUN" in outcome.err


def test_help_is_printed_without_a_command(tinysight):
    assert " train " in tinysight().out


def test_ctrl_c_outside_training_prints_interrupted_and_exits_with_1(tinysight, finished_run, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinysight.evaluation.evaluate.evaluate", interrupt)
    assert tinysight("evaluate", finished_run).refusal(1) == "Interrupted."


def test_out_of_memory_is_a_one_sentence_error(tinysight, finished_run, monkeypatch):
    def run_out_of_memory(*arguments):
        raise MemoryError

    monkeypatch.setattr("tinysight.evaluation.evaluate.evaluate", run_out_of_memory)
    assert "not enough memory: use fewer or smaller images" in tinysight("evaluate", finished_run).refusal(1)
