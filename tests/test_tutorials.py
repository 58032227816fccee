"""The tutorials are true: their commands and their cells work one after the other, on small images."""

import glob
import os
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tinysight.auditing import audit, context

DOCS = Path(__file__).parent.parent / "docs"
TUTORIALS = [DOCS / "explanation" / "trust.md"]
NOTEBOOKS = sorted((DOCS / "tutorials").glob("*.md"))
SMALL = {
    "DATA": '"shapes:train=150,test=40"',
    "EPOCHS": "1",
    "MINUTES": "2",  # more than a slow machine needs for ONE_EPOCH
    "PORT": "8913",
}
ONE_EPOCH = ("--set", "training.max_epochs=1")


def commands(tutorial):
    blocks = re.findall(r"^```\w*\n(.*?)^```", tutorial.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines() if line.startswith("tinysight ")]


def quickly(command):
    """Return a command on small images, for one epoch and with no time for more than there must be."""
    if command[1] != "train":
        return command
    options = ["--data", "shapes:train=150,test=40", "--epochs", "1", "--precision", "fp32"]
    return [*command[:2], "early-stopping", *options, *command[command.index("--out") :]]


@pytest.fixture
def without_shadow_models(monkeypatch):
    """Make audits of few images that have no time to train."""
    monkeypatch.setattr(context, "MAX_PROBED", 10)
    monkeypatch.setattr(audit.Deadline, "allows", lambda time, seconds: False)


@pytest.mark.usefixtures("without_shadow_models")
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.name)
def test_the_commands_of_a_tutorial_work_one_after_the_other(tutorial, tinysight):
    found = commands(tutorial)
    assert len(found) >= 8
    for command in found:
        outcome = tinysight(*quickly(command)[1:])
        assert outcome.code == 0, f"{shlex.join(command)}: {outcome.err}"


def read_small(text):
    """Return a notebook whose first cell, `NAME, NAME = ...`, asks for as much as tests have time for."""
    notebook = pytest.importorskip("jupytext").read(text)
    settings = next(cell for cell in notebook.cells if cell.cell_type == "code")
    names = settings.source.partition(" = ")[0].split(", ")
    settings.source = "\n".join(f"{name} = {SMALL[name]}" for name in names)
    return notebook


@pytest.fixture(autouse=True)
def _own_command(monkeypatch):
    """Run the `tinysight` that is tested."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.slow
def test_a_notebook_runs_in_jupyter(tmp_path):
    client = pytest.importorskip("nbclient")
    notebook = read_small(NOTEBOOKS[0])
    client.NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    told = "".join(output.get("text", "") for output in printed)
    assert "error: " not in told, told


@pytest.fixture
def shell(tinysight, tmp_path, monkeypatch):
    """An IPython shell whose commands, `!tinysight`, run in this process: starting Python takes longer than they do."""
    pytest.importorskip("IPython")
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    def system(command):
        words = shlex.split(shell.var_expand(command))
        words = [name for word in words for name in sorted(glob.glob(word)) or [word]]
        assert words.pop(0) == "tinysight"
        outcome = tinysight(*words, *(ONE_EPOCH if words[0] == "train" and "--minutes" in words else ()))
        assert outcome.code == 0, f"{command}: {outcome.err}"

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    config = Config({"HistoryManager": {"enabled": False}})
    shell = InteractiveShell.instance(config=config, user_module=ModuleType("notebook"))
    shell.display_formatter.active_types = shell.display_formatter.format_types  # as in Jupyter
    shell.system = system
    yield shell
    InteractiveShell.clear_instance()


@pytest.mark.slow
@pytest.mark.usefixtures("without_shadow_models")
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised inside Keras
@pytest.mark.parametrize("text", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_a_notebook_runs_from_its_first_cell_to_its_last(text, shell):
    for cell in read_small(text).cells:
        if cell.cell_type == "code":
            shell.run_cell(cell.source).raise_error()


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
