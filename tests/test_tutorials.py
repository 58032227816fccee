"""The tutorials are true: their commands and their cells work one after the other, on small images."""

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from tinysight.auditing import audit, context

DOCS = Path(__file__).parent.parent / "docs"
TUTORIALS = [DOCS / "explanation" / "trust.md"]
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.md"))
SMALL = {
    "DATA": '"shapes:train=150,test=40"',
    "EPOCHS": "1",
    "MINUTES": "0.5",  # of which a slow machine may need half before the first step
    "PORT": "8913",
}


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
    monkeypatch.setattr(context, "MAX_PROBED", 10)
    monkeypatch.setattr(audit.Deadline, "allows", lambda time, seconds: False)
    found = commands(tutorial)
    assert len(found) >= 8
    for command in found:
        outcome = tinysight(*quickly(command)[1:])
        assert outcome.code == 0, f"{shlex.join(command)}: {outcome.err}"


def small(cell):
    """Return a cell of settings, `NAME, NAME = ...`, with as much as tests have time for."""
    names = cell.partition(" = ")[0].split(", ")
    return "\n".join(f"{name} = {SMALL[name]}" for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("text", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_its_first_cell_to_its_last(text, tmp_path, monkeypatch):
    jupytext, client = pytest.importorskip("jupytext"), pytest.importorskip("nbclient")
    # What it runs by `!tinysight` is the one that is tested.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    notebook = jupytext.read(text)
    settings = next(cell for cell in notebook.cells if cell.cell_type == "code")
    settings.source = small(settings.source)
    client.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    told = "".join(output.get("text", "") for output in printed)
    assert "error: " not in told, told


@pytest.mark.parametrize("text", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_what_its_text_says(text):
    jupytext = pytest.importorskip("jupytext")
    cells = [
        [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]
        for path in (text, text.with_suffix(".ipynb"))
    ]
    assert cells[0] == cells[1], f"jupytext --update --to ipynb {text} writes it anew"


@pytest.mark.parametrize("text", NOTEBOOKS, ids=lambda path: path.stem)
def test_links_between_tutorials_lead_somewhere(text):
    links = re.findall(r"\]\(([^)#]+)\)", text.read_text(encoding="utf-8"))
    assert links or text == NOTEBOOKS[-1]
    for link in links:
        assert (text.parent / link).exists(), link
