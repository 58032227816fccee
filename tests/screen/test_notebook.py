"""The live bar in a notebook, and what a cell runs by `!`."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tinysight.screen import notebook
from tinysight.screen.console import errors, progress

pytest.importorskip("IPython")

TRAINING = """
from tinysight import ImageClassifier, load_dataset
data = load_dataset("shapes:train=200,test=20")
ImageClassifier("early-stopping", epochs=2).fit(data.train.pixels, data.train.labels)
print("trained")
"""


class Place:
    """Where a bar is drawn, and all that was drawn there."""

    def __init__(self):
        self.drawn = []

    def update(self, data, raw):
        self.drawn.append(data["text/html"])


@pytest.fixture
def places(monkeypatch):
    """The places of the cells that have been run."""
    places, shell = [], SimpleNamespace(execution_count=1)

    def display(data, raw, display_id):
        places.append(Place())
        return places[-1]

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr(errors, "is_jupyter", True)
    monkeypatch.setattr(notebook, "_EVERY", 0.0)
    notebook._shown.clear()
    yield places, shell
    notebook._shown.clear()


def test_the_bar_is_drawn_and_goes_and_lines_stay(places, capsys):
    places, shell = places
    progress.start("epoch 1/2", 100, "images")
    progress.advance(50, loss=1.23456)
    progress.finish("epoch 1/2  done")
    progress.start("epoch <2>", 0, "images")
    progress.finish("epoch 2/2  done")
    (place,) = places
    assert 'max="100" value="50"' in place.drawn[1]
    assert "loss 1.235" in place.drawn[1]
    assert " images/s" in place.drawn[1]
    assert " left" in place.drawn[1]
    assert place.drawn[2] == place.drawn[-1] == ""
    assert "<progress >" in place.drawn[3]
    assert "epoch &lt;2&gt;" in place.drawn[3]
    assert capsys.readouterr().out == "epoch 1/2  done\nepoch 2/2  done\n"
    shell.execution_count = 2
    progress.start("again", 1)
    progress.finish()
    assert len(places) == 2


def test_what_a_cell_runs_writes_no_signs_for_a_terminal():
    script = "from tinysight.screen.console import errors, watched; errors.print('a', style='bold'); print(watched())"
    leader, follower = os.openpty()
    for inside, watched in ((False, b"True"), (True, b"False")):
        environment = {key: value for key, value in os.environ.items() if key not in ("JPY_PARENT_PID", "NO_COLOR")}
        environment |= {"TERM": "xterm-256color", **({"JPY_PARENT_PID": "1"} if inside else {})}
        subprocess.run([sys.executable, "-c", script], stdout=follower, stderr=follower, env=environment, check=True)
        said = os.read(leader, 1000)
        assert watched in said
        assert (b"\x1b[1m" in said) != inside


@pytest.mark.slow
def test_a_real_notebook_keeps_the_lines_and_nothing_else():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cells = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TRAINING)])
    nbclient.NotebookClient(cells, timeout=300, kernel_name="python3").execute()
    outputs = cells.cells[0].outputs
    text = "".join(one.text for one in outputs if one.output_type == "stream")
    assert [line.split("  ")[0] for line in text.splitlines() if "epoch" in line] == ["epoch 1/2", "epoch 2/2"]
    assert "ipywidgets" not in text
    assert [one.data["text/html"] for one in outputs if one.output_type == "display_data"] == [""]
