"""The commands, links and file lists of the README and the run directory page."""

import re
import shlex
import shutil
from itertools import chain
from pathlib import Path

import pytest

from tinysight.auditing import audit, context
from tinysight.training.budget import TimeBudget

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RUN_DIRECTORY = ROOT / "docs" / "reference" / "run-directory.md"
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
COMMANDS = [shlex.split(line) for block in BLOCKS for line in block.splitlines() if line.startswith("tinysight ")]

SMALL = "shapes:train=100,test=30"


def shortened(command):
    """Return a README command on small images, for one epoch unless it has a time budget."""
    if command[1] == "audit":
        return [*command[:3], "--minutes", "0.05"]
    if command[1] == "serve":
        return [*command[:2], "--help"]  # it runs until it is stopped; tests/cli/test_import_export_serve.py covers it
    if command[1] != "train":
        return [SMALL if word == "cifar10" else word for word in command]
    options = dict(zip(command[3::2], command[4::2], strict=True))
    options |= {"--data": SMALL, "--precision": "fp32"}
    if "--minutes" not in options:
        options |= {"--epochs": "1"}
    return [*command[:3], *chain(*options.items())]


@pytest.fixture(autouse=True)
def _few_images(monkeypatch):
    monkeypatch.setattr(context, "MAX_PROBED", 10)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras
def test_the_commands_work_in_order(tinysight, photos, monkeypatch):
    monkeypatch.setattr(TimeBudget, "progress", lambda clock, steps_done: min(1.0, steps_done / 10))
    shutil.copy(photos / "cat" / "00.png", "my-cat.jpg")
    shutil.copytree(photos / "cat", "holiday")
    shutil.copytree(photos / "dog", "more")
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        outcome = tinysight(*shortened(command)[1:])
        assert outcome.code == 0, f"{shlex.join(command)}: {outcome.err}"


def test_a_run_holds_the_listed_files(tinysight, finished_run, monkeypatch):
    monkeypatch.setattr(audit, "N_SHADOW_MODELS", 2)
    for verb in ("evaluate", "audit", "card", "report"):
        assert tinysight(verb, finished_run).code == 0
    listed = RUN_DIRECTORY.read_text(encoding="utf-8").split("```")[1]
    names = re.findall(r"(?:^|  )([a-z_]*\.[a-z]+|[a-z_]+/)(?:  |$)", listed, re.MULTILINE)
    assert {name.strip("/") for name in names} == {path.name for path in finished_run.iterdir()}


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", README.read_text(encoding="utf-8")))
def test_links_resolve(link):
    assert link.startswith("https://") or (README.parent / link).exists()
