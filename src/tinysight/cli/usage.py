"""Usage errors: one line that names the mistake and the right option."""

from __future__ import annotations

import difflib
import re
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from tinysight._util.console import stdout_console

# Options that people know from other tools: the recipe key, or the option of tinysight, that does the same.
_RECIPE_KEYS = {
    "--lr": "optimizer.learning_rate",
    "--optim": "optimizer.name",
    "--optimizer": "optimizer.name",
    "--wd": "optimizer.weight_decay",
    "--scheduler": "optimizer.lr_schedule",
    "--schedule": "optimizer.lr_schedule",
    "--batch": "training.batch_size",
    "--bs": "training.batch_size",
    "--img-size": "data.image_size",
    "--imgsz": "data.image_size",
    "--resolution": "data.image_size",
    "--val-split": "data.validation_fraction",
    "--validation-split": "data.validation_fraction",
    "--model": "model.architecture",
    "--arch": "model.architecture",
    "--network": "model.architecture",
}
_SYNONYMS = {
    "--dataset": "--data",
    "--data-path": "--data",
    "--train-dir": "--data",
    "--num-epochs": "--epochs",
    "--max-epochs": "--epochs",
    "--time": "--minutes",
    "--time-limit": "--minutes",
    "--output": "--out",
    "--output-dir": "--out",
    "--save-dir": "--out",
    "--random-state": "--seed",
    "--gpu": "--device cuda",
    "--cuda": "--device cuda",
    "--bf16": "--precision bf16",
    "--amp": "--precision bf16",
    "--fp32": "--precision fp32",
    "--num-workers": "--workers",
    "--num-processes": "--workers",
    "--topk": "--top",
    "--top-k": "--top",
    "--test-time-augmentation": "--tta",
    "--format": "--to",
}


class HelpfulCommand(TyperCommand):
    """Command whose help lists flags without a value type."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, flags without a value type."""
        return _plain_flags(super().get_params(ctx))


class HelpfulGroup(TyperGroup):
    """Group of commands that prints its help when it is called without a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; none mean --help."""
        return super().parse_args(ctx, args or ["--help"])

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, flags without a value type."""
        return _plain_flags(super().get_params(ctx))


def _plain_flags(parameters: list[Any]) -> list[Any]:
    """Return the parameters; the help of flags shows no "<bool>", as if they took a value."""
    for parameter in parameters:
        if getattr(parameter, "is_flag", False):
            parameter.metavar = ""
    return parameters


_FLAGS = {
    r"\bpass skip_unreadable=True": "set --skip-unreadable",
    r"\b([Ss]et) data_dir\b": r"\1 --data-dir",
    r"^Override '": "--set '",
    r"\bPass logits=True\b": "Set --logits",
    r"\bPass logits=False\b": "Omit --logits",
    r"\bpixels=(\S)": r"--pixels \1",
    r"^pixels: (.*) Pass 0": r"--pixels: \1 Use 0",
    r"\bPass the dataset\b": "Set --data",
    r"\bhas no (int8|tta)\b": r"has no --\1",
    r"\bor indices of test images\b": "or --test-index",
    r"\bevaluate on the split 'new'": "evaluate with --split new",
    r"^(.*): not a probe, (.*) from the weights of this run\.": r"\1: not a probe, \2: "
    r"tinysight train RECIPE --from \1 --data DIR.",
    r"\bPass group='parent'": "Set --group parent",
    r"\bLeave out the group\b": "Omit --group",
}


def with_flags(message: str) -> str:
    """Return an error of the library with the command line's words for arguments.

    >>> with_flags("CIFAR-10: no complete copy. Set data_dir to a folder with a copy.")
    'CIFAR-10: no complete copy. Set --data-dir to a folder with a copy.'
    """
    for pattern, flag in _FLAGS.items():
        message = re.sub(pattern, flag, message)
    return message


def usage_message(error: TyperException) -> str:
    """Return a usage error in the form of all errors: command, problem, fix."""
    context: Any = getattr(error, "ctx", None)
    path = context.command_path if context else "tinysight"
    command = path.removeprefix("tinysight ")
    option = getattr(error, "option_name", None)
    if option and error.message.startswith("No such option"):
        valid = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
        return f"{command}: no such option {option}. {_right_option(option, valid, path)}"
    text = error.format_message().replace("\n\t", " ").replace("Value error, ", "").rstrip(".")
    problem, _, fix = text.partition(". ")
    ending = f"See {path} --help." if not fix else fix if fix.endswith("?") else f"{fix}."
    return f"{command}: {problem[:1].lower()}{problem[1:]}. {ending}"


def _right_option(option: str, valid: list[str], path: str) -> str:
    """Return what to type instead of an unknown option of a command with the `valid` options."""
    word = option.replace("_", "-").lower()
    synonym = _SYNONYMS.get(word, word)
    if synonym.split()[0] in valid:
        return f"Use {synonym}."
    if "--set" in valid and (key := _RECIPE_KEYS.get(word) or _schema_keys().get(word)):
        return f"Use --set {key}=VALUE."
    similar = difflib.get_close_matches(word.strip("-"), [name.strip("-") for name in valid], n=1)
    return f"Did you mean --{similar[0]}?" if similar else f"See {path} --help."


def _schema_keys() -> dict[str, str]:
    """Return the recipe key, such as "training.batch_size", of every option that has the key's name."""
    from tinysight.recipes.schema import Recipe

    keys: dict[str, str] = {}
    for section, field in Recipe.model_fields.items():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            for key in getattr(kind, "model_fields", {}):
                keys.setdefault(f"--{key.replace('_', '-')}", f"{section}.{key}")
    return keys


def print_version(requested: bool) -> None:
    """Print the version and exit, if requested."""
    if requested:
        import tinysight

        stdout_console.print(f"tinysight {tinysight.__version__}")
        raise typer.Exit
