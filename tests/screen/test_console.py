"""The live bar: there on a terminal and only there, in the way of nothing, and gone in the end."""

import io
import itertools
import re
from contextlib import redirect_stderr, redirect_stdout

import pytest

from tinysight.errors import RunError
from tinysight.models.classifier import Classifier
from tinysight.screen.console import errors, progress, say

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Terminal(io.StringIO):
    """A terminal of 80 columns, which is what rich takes one for that does not say."""

    def isatty(self):
        return True

    @property
    def lines(self):
        """What was shown, every frame of the bar on a line of its own."""
        return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue()))


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(errors, "is_interactive", True)  # rich looked for a terminal when it was imported
    looks = itertools.count()
    monkeypatch.setattr(errors, "get_time", lambda: 2.0 * next(looks))
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def train_a_little():
    progress.start("epoch 12/25", 45_000, "images")
    for _ in range(3):
        progress.advance(12_800, loss=1.23456, accuracy=0.5712)


def test_the_bar_shows_how_far_how_fast_how_well_and_how_long_and_fits_into_80_columns(terminal):
    with redirect_stderr(terminal):
        train_a_little()
        progress.finish("epoch 12/25  done")
    frame = next(line for line in reversed(terminal.lines) if "%" in line)
    for part in ("epoch 12/25 ", " 85%", " images/s", "loss 1.235", "accuracy 0.571", " left"):
        assert part in frame
    assert max(len(line) for line in terminal.lines) <= 80
    assert terminal.lines[-2:] == ["epoch 12/25  done", ""]


def test_a_download_is_told_in_bytes_and_its_long_address_cut(terminal):
    with redirect_stderr(terminal):
        progress.start("Fetching https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", 170_000_000, "B")
        for _ in range(3):
            progress.advance(10_000_000)
        progress.finish()
    frame = next(line for line in reversed(terminal.lines) if "%" in line)
    assert re.search(r"^Fetching https://.*… .* [\d.]+ [kMGTPEZY]?B/s  \d+:\d\d left", frame)
    assert len(frame) <= 80


def test_work_of_unknown_length_has_a_bar_too(terminal):
    with redirect_stderr(terminal):
        progress.start("looking", 0)
        progress.advance(1)
        progress.finish()
    assert any(line.startswith("looking ") for line in terminal.lines)


def test_elsewhere_there_are_only_the_lines_that_remain(capsys):
    train_a_little()
    progress.finish("epoch 12/25  done")
    progress.note("a notice")
    assert capsys.readouterr() == ("", "epoch 12/25  done\na notice\n")


def test_what_would_steer_the_terminal_is_written_out(capsys):
    progress.note("cat\x1b[2J\n.png is left out")
    assert capsys.readouterr().err == "cat\\x1b[2J\\n.png is left out\n"


def test_results_go_to_a_file_even_while_a_bar_is_on_the_terminal(terminal):
    with redirect_stderr(terminal), redirect_stdout(io.StringIO()) as file:
        train_a_little()
        say("a result")
        progress.finish()
    assert file.getvalue() == "a result\n"
    assert "a result" not in terminal.getvalue()


def test_results_on_the_same_terminal_stand_on_lines_of_their_own(terminal):
    with redirect_stderr(terminal), redirect_stdout(terminal):
        train_a_little()
        say("a result")
        progress.finish()
    assert "a result" in terminal.lines


def test_text_is_shown_as_it_is(terminal):
    with redirect_stderr(terminal):
        progress.start("[bold]:cat:", 1)
        progress.note("[red]note[/]")
        progress.finish("[/] :dog:")
    for text in ("[bold]:cat:", "[red]note[/]", "[/] :dog:"):
        assert text in terminal.getvalue()


def test_an_error_in_the_middle_of_a_bar_comes_after_it_and_the_cursor_comes_back(
    tinysight, terminal, finished_run, photos, monkeypatch
):
    def diverge(classifier, pixels):
        raise RunError("The weights are no numbers.")

    monkeypatch.setattr(Classifier, "probabilities", diverge)
    with redirect_stderr(terminal):
        outcome = tinysight("predict", finished_run, photos)
    assert outcome.code == 2
    shown = terminal.getvalue()
    assert shown.rindex("error: ") > shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
