"""What the README tells people to type works, and what it says of files is so."""

import re
import shlex
import shutil
from itertools import chain
from pathlib import Path

import pytest

from tinysight.audit import audit, sections
from tinysight.training.budget import TimeBudget

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line) for block in BLOCKS for line in block.splitlines() if line.startswith("tinysight ")]

SMALL = "shapes:train=100,test=30"


def quickly(command):
    """Return a command of the README on small images, and for one epoch if it does not say how long."""
    if command[1] == "audit":
        return [*command[:3], "--minutes", "0.05"]
    if command[1] == "serve":
        return [*command[:2], "--help"]  # it goes on until it is stopped; tests/cli/test_anywhere.py does so
    if command[1] != "train":
        return [SMALL if word == "cifar10" else word for word in command]
    options = dict(zip(command[3::2], command[4::2], strict=True))
    options |= {"--data": SMALL, "--precision": "fp32"}
    if "--minutes" not in options:
        options |= {"--epochs": "1"}
    return [*command[:3], *chain(*options.items())]


@pytest.fixture(autouse=True)
def _few_images(monkeypatch):
    monkeypatch.setattr(sections, "MAX_CORRUPTED", 10)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras
def test_the_commands_work_one_after_the_other(tinysight, photos, monkeypatch):
    monkeypatch.setattr(TimeBudget, "progress", lambda clock, steps_done: min(1.0, steps_done / 10))
    shutil.copy(photos / "cat" / "00.png", "my-cat.jpg")
    shutil.copytree(photos / "cat", "holiday")
    shutil.copytree(photos / "dog", "more")
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        outcome = tinysight(*quickly(command)[1:])
        assert outcome.code == 0, f"{shlex.join(command)}: {outcome.err}"


def test_a_run_holds_the_files_that_are_listed(tinysight, finished_run, monkeypatch):
    monkeypatch.setattr(audit, "N_SHADOW_MODELS", 2)
    for verb in ("evaluate", "audit", "card", "report"):
        assert tinysight(verb, finished_run).code == 0
    listed = next(block for block in BLOCKS if block.startswith("recipe.toml"))
    names = re.findall(r"(?:^|  )([a-z]+\.[a-z]+|[a-z]+/)(?:  |$)", listed, re.MULTILINE)
    assert {name.strip("/") for name in names} == {path.name for path in finished_run.iterdir()}


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", README.read_text(encoding="utf-8")))
def test_links_lead_somewhere(link):
    assert link.startswith("https://") or (README.parent / link).exists()
