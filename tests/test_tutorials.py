"""The tutorials are true: their commands work one after the other, on small images."""

import re
import shlex
from pathlib import Path

import pytest

from tinysight.audit import audit, sections

DOCS = Path(__file__).parent.parent / "docs"
TUTORIALS = [DOCS / "trust.md"]


def commands(tutorial):
    blocks = re.findall(r"^```\w*\n(.*?)^```", tutorial.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("tinysight ")]


def quickly(command):
    """Return a command on small images, for one epoch and with no time for more than there must be."""
    if command[1] != "train":
        return command
    options = ["--data", "shapes:train=150,test=40", "--epochs", "1", "--precision", "fp32"]
    return [*command[:2], "early-stopping", *options, *command[command.index("--out") :]]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.name)
def test_the_commands_of_a_tutorial_work_one_after_the_other(tutorial, tinysight, monkeypatch):
    monkeypatch.setattr(sections, "CORRUPTED", 10)
    monkeypatch.setattr(audit.Time, "allows", lambda time, seconds: False)
    found = commands(tutorial)
    assert len(found) >= 8
    for command in found:
        outcome = tinysight(*quickly(command)[1:])
        assert outcome.code == 0, f"{shlex.join(command)}: {outcome.err}"
