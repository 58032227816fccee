"""Help, version, completion, usage errors and next steps of all commands."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tinysight import __version__, cli
from tinysight.cli.usage import with_flags
from tinysight.recipes.schema import Recipe


def commands(group=None, path=()):
    """Return every command, with its words."""
    group = group or typer.main.get_command(cli.app)
    found = []
    for name, command in group.commands.items():
        nested = hasattr(command, "commands")
        found += commands(command, (*path, name)) if nested else [((*path, name), command)]
    return found


ALL = dict(commands())


def example(command):
    (line,) = [line.strip() for line in command.help.splitlines() if line.strip().startswith("Example: ")]
    return shlex.split(line.removeprefix("Example: "))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_command_has_an_example_of_itself_with_valid_arguments(words, monkeypatch, tmp_path):
    program, *arguments = example(ALL[words])
    assert (program, tuple(arguments[: len(words)])) == ("tinysight", words)
    monkeypatch.chdir(tmp_path)
    ALL[words].make_context(" ".join(words), arguments[len(words) :])  # parses; runs nothing


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_h_prints_the_help_with_the_example_and_no_value_for_flags(tinysight, words):
    outcome = tinysight(*words, "-h")
    assert (outcome.code, outcome.err) == (0, "")
    assert f"Usage: tinysight {' '.join(words)}" in outcome.out
    assert "Example: tinysight" in outcome.out
    assert "<bool>" not in outcome.out
    assert outcome.out == tinysight(*words, "--help").out


@pytest.mark.parametrize("group", [(), ("recipes",), ("data",)])
def test_a_group_without_a_command_prints_its_help(tinysight, group):
    outcome = tinysight(*group)
    assert (outcome.code, outcome.err, outcome.out) == (0, "", tinysight(*group, "--help").out)


def test_the_help_groups_the_commands(tinysight):
    out = tinysight("-h").out
    panels = ["Train", "Evaluate and trust", "Predict and deploy", "Data and recipes", "System"]
    positions = [out.index(f"─ {panel} ─") for panel in panels]
    assert positions == sorted(positions)
    first = [out[start:].splitlines()[1].split()[1] for start in positions]
    assert first == ["train", "evaluate", "predict", "preview", "doctor"]


def test_version(tinysight):
    outcome = tinysight("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"tinysight {__version__}\n", "")


def complete(line, folder):
    words = line.split(" ")
    environment = os.environ | {
        "_TINYSIGHT_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    command = [sys.executable, "-c", "from tinysight.cli import main; main()"]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=True
    ).stdout.split()


def test_completion_of_commands_recipes_runs_and_choices(tmp_path, finished_run):
    (tmp_path / "runs").mkdir()
    finished_run.rename(tmp_path / "runs" / "cats-1")
    (tmp_path / "runs" / "no-run").mkdir()
    assert complete("tinysight tr", tmp_path) == ["train"]
    assert complete("tinysight train fast-8", tmp_path) == ["fast-85"]
    assert complete("tinysight evaluate ", tmp_path) == ["runs/cats-1"]
    assert complete("tinysight evaluate runs/c", tmp_path) == ["runs/cats-1"]
    assert complete("tinysight train deep --precision b", tmp_path) == ["bf16"]
    assert "--set" in complete("tinysight train deep --s", tmp_path)


def test_completion_can_be_installed(tinysight):
    assert "--install-completion" in tinysight("-h").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train fast --lr 0.1", "train: no such option --lr. Use --set optimizer.learning_rate=VALUE."),
        ("train fast --learning-rate 1", "train: no such option --learning-rate. Use --set optimizer.learning_rate="),
        ("train fast --learning_rate 1", "train: no such option --learning_rate. Use --set optimizer.learning_rate="),
        ("train fast --batch-size 64", "train: no such option --batch-size. Use --set training.batch_size=VALUE."),
        ("train fast --optimizer adam", "train: no such option --optimizer. Use --set optimizer.name=VALUE."),
        ("train fast --weight-decay=0", "train: no such option --weight-decay. Use --set optimizer.weight_decay=VALUE"),
        ("train fast --image-size 64", "train: no such option --image-size. Use --set data.image_size=VALUE."),
        ("tune fast --patience 3", "tune: no such option --patience. Use --set early_stopping.patience=VALUE."),
        ("train fast --dataset x", "train: no such option --dataset. Use --data."),
        ("train fast --output-dir x", "train: no such option --output-dir. Use --out."),
        ("train fast --gpu", "train: no such option --gpu. Use --device cuda."),
        ("train fast --epoch 3", "train: no such option --epoch. Did you mean --epochs?"),
        ("predict run --top-k 3", "predict: no such option --top-k. Use --top."),
        ("evaluate run --lr 3", "evaluate: no such option --lr. See tinysight evaluate --help."),
        ("train fast --xyzzy", "train: no such option --xyzzy. See tinysight train --help."),
        ("train", "train: missing argument 'RECIPE'. See tinysight train --help."),
        ("trian", "tinysight: no such command 'trian'. Did you mean 'train'?"),
        ("recipes lst", "recipes: no such command 'lst'. Did you mean 'list'?"),
        ("train a b", "train: got unexpected extra argument(s) (b). See tinysight train --help."),
        (
            "train deep --precision fp64",
            "train: invalid value for '--precision': 'fp64' is not one of 'auto', 'fp32', 'bf16'. See tinysight train",
        ),
        (
            "train deep --log wandb",
            "train: invalid value for '--log': 'wandb' is not one of 'csv', 'tensorboard', 'mlfl",
        ),
        ("train deep --seed 9223372036854775808", "train: invalid value for '--seed': the largest seed is 2**63 - 1."),
    ],
)
def test_a_usage_error_is_one_line_that_says_what_to_type(tinysight, arguments, message):
    outcome = tinysight(*arguments.split())
    assert outcome.refusal().startswith(message)
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


@pytest.mark.parametrize("option", ["--lr", "--optimizer", "--wd", "--imgsz", "--val-split", "--arch", "--scheduler"])
def test_the_suggested_recipe_key_exists(tinysight, option):
    key = tinysight("train", "deep", option, "1").refusal().partition("--set ")[2].removesuffix("=VALUE.")
    section, name = key.split(".")
    assert name in Recipe.model_fields[section].annotation.model_fields


def test_the_suggested_option_is_accepted(tinysight):
    assert tinysight("recipes", "check", "deep", "--set", "optimizer.learning_rate=0.5").code == 0


@pytest.mark.parametrize("typed", ["cats-1", "runs/cats-2", "runs/cast-1", "cats"])
def test_a_mistyped_run_gets_a_suggestion(tinysight, finished_run, typed):
    Path("runs").mkdir()
    finished_run.rename("runs/cats-1")
    assert tinysight("card", typed).refusal() == f"{typed}: no run directory. Did you mean 'runs/cats-1'?"


def test_messages_of_the_library_name_options_instead_of_parameters(tinysight, tmp_path):
    refusal = tinysight("data", "info", "--data-dir", tmp_path).refusal()
    assert "Set --data-dir to a complete copy" in refusal
    assert (
        with_flags("Or set data_dir, or pass skip_unreadable=True.") == "Or set --data-dir, or set --skip-unreadable."
    )
    assert with_flags("data_dir/a: not in /data_dir") == "data_dir/a: not in /data_dir"


NEXT_STEPS = [
    ("recipes list", "tinysight recipes show NAME, or tinysight train NAME"),
    ("recipes show deep", "tinysight recipes copy deep"),
    ("recipes check deep --set training.epochs=3", "tinysight train deep --set training.epochs=3"),
    ("data info --data shapes:train=20,test=10", "tinysight train fast --data shapes:train=20,test=10 --minutes 2"),
    ("data show 0 --data shapes:train=20,test=10", "tinysight data info --data shapes:train=20,test=10"),
    ("preview deep --data shapes:train=20,test=10", "tinysight train deep --data shapes:train=20,test=10"),
    ("summary deep", "tinysight train deep"),
    ("summary RUN", "tinysight evaluate RUN"),
    ("evaluate RUN", "tinysight audit RUN"),
    ("predict RUN cat.png", "tinysight explain RUN cat.png"),
    ("predict RUN --test-index 3", "tinysight explain RUN --test-index 3"),
    ("card RUN", 'fill in the fields marked "not stated"'),
    ("report RUN", "open RUN/report.html in a browser"),
    ("doctor", "tinysight train fast --data shapes --minutes 1"),
]


@pytest.mark.parametrize(("arguments", "step"), NEXT_STEPS, ids=lambda text: text)
def test_a_command_ends_with_its_next_step_on_standard_error(tinysight, finished_run, photos, arguments, step):
    Path("cat.png").write_bytes((photos / "cat" / "00.png").read_bytes())
    outcome = tinysight(*(str(finished_run) if word == "RUN" else word for word in arguments.split()))
    assert outcome.code == 0
    assert outcome.next == step.replace("RUN", str(finished_run))
    assert "next:" not in outcome.out


def test_the_next_step_is_quoted_for_the_shell(tinysight, finished_run):
    finished_run.rename("my run")
    outcome = tinysight("evaluate", "my run")
    assert shlex.split(outcome.next) == ["tinysight", "audit", "my run"]


@pytest.mark.parametrize("arguments", ["predict RUN cat.png --json", "card RUN --json"])
def test_json_output_comes_alone(tinysight, finished_run, photos, arguments):
    Path("cat.png").write_bytes((photos / "cat" / "00.png").read_bytes())
    outcome = tinysight(*(str(finished_run) if word == "RUN" else word for word in arguments.split()))
    assert (outcome.code, outcome.err) == (0, "")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Repair them or pass skip_unreadable=True:", "Repair them or set --skip-unreadable:"),
        ("pets: no CIFAR-10. Set data_dir to a copy.", "pets: no CIFAR-10. Set --data-dir to a copy."),
        ("Override 'x': not of the form section.key=value.", "--set 'x': not of the form section.key=value."),
        ("my/data_dir/Override 'x': no such file.", "my/data_dir/Override 'x': no such file."),
    ],
)
def test_arguments_of_python_become_flags(message, expected):
    assert with_flags(message) == expected
