"""The progress bar in a notebook, and commands run by `!` in a cell."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tinysight._util import progress_bars
from tinysight._util.console import progress, stderr_console

pytest.importorskip("IPython")

TRAINING = """
from tinysight import ImageClassifier, load_dataset
data = load_dataset("shapes:train=200,test=20")
ImageClassifier("early-stopping", epochs=2).fit(data.train.pixels, data.train.labels)
print("trained")
"""


class Display:
    """A display handle that records its updates."""

    def __init__(self):
        self.updates = []

    def update(self, data, raw):
        self.updates.append(data["text/html"])


@pytest.fixture
def displays(monkeypatch):
    """The display handles of the executed cells, and the shell."""
    displays, shell = [], SimpleNamespace(execution_count=1)

    def display(data, raw, display_id):
        displays.append(Display())
        return displays[-1]

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr(stderr_console, "is_jupyter", True)
    monkeypatch.setattr(progress_bars, "_REFRESH_SECONDS", 0.0)
    progress_bars._displays.clear()
    yield displays, shell
    progress_bars._displays.clear()


def test_the_bar_is_drawn_and_erased_and_final_lines_remain(displays, capsys):
    displays, shell = displays
    progress.start("epoch 1/2", 100, "images")
    progress.advance(50, loss=1.23456)
    progress.finish("epoch 1/2  done")
    progress.start("epoch <2>", 0, "images")
    progress.finish("epoch 2/2  done")
    (handle,) = displays
    assert 'max="100" value="50"' in handle.updates[1]
    assert "loss 1.235" in handle.updates[1]
    assert " images/s" in handle.updates[1]
    assert " left" in handle.updates[1]
    assert handle.updates[2] == handle.updates[-1] == ""
    assert "<progress >" in handle.updates[3]
    assert "epoch &lt;2&gt;" in handle.updates[3]
    assert capsys.readouterr().out == "epoch 1/2  done\nepoch 2/2  done\n"
    shell.execution_count = 2
    progress.start("again", 1)
    progress.finish()
    assert len(displays) == 2


def test_a_command_in_a_cell_prints_no_escape_codes():
    script = (
        "from tinysight._util.console import is_interactive, stderr_console; "
        "stderr_console.print('a', style='bold'); print(is_interactive())"
    )
    leader, follower = os.openpty()
    for in_notebook, expected in ((False, b"True"), (True, b"False")):
        environment = {key: value for key, value in os.environ.items() if key not in ("JPY_PARENT_PID", "NO_COLOR")}
        environment |= {"TERM": "xterm-256color", **({"JPY_PARENT_PID": "1"} if in_notebook else {})}
        subprocess.run([sys.executable, "-c", script], stdout=follower, stderr=follower, env=environment, check=True)
        printed = os.read(leader, 1000)
        assert expected in printed
        assert (b"\x1b[1m" in printed) != in_notebook


@pytest.mark.slow
def test_a_real_notebook_keeps_only_the_final_lines():
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    cells = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(TRAINING)])
    nbclient.NotebookClient(cells, timeout=300, kernel_name="python3").execute()
    outputs = cells.cells[0].outputs
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    assert [line.split("  ")[0] for line in text.splitlines() if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    assert "ipywidgets" not in text
    assert [output.data["text/html"] for output in outputs if output.output_type == "display_data"] == [""]
