"""The progress bar: shown only on a terminal, below all other output, and erased at the end."""

import io
import itertools
import re
from contextlib import redirect_stderr, redirect_stdout

import pytest

from tinysight._util.console import print_result, progress, stderr_console
from tinysight._util.errors import RunError
from tinysight.models.classifier import Classifier

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Terminal(io.StringIO):
    """A terminal of 80 columns, the default of rich."""

    def isatty(self):
        return True

    @property
    def lines(self):
        """The output, with each frame of the bar on its own line."""
        return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue()))


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(stderr_console, "is_interactive", True)  # rich checks for a terminal at import
    ticks = itertools.count()
    monkeypatch.setattr(stderr_console, "get_time", lambda: 2.0 * next(ticks))
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def report_progress():
    progress.start("epoch 12/25", 45_000, "images")
    for _ in range(3):
        progress.advance(12_800, loss=1.23456, accuracy=0.5712)


def test_the_bar_shows_progress_speed_metrics_and_time_left_in_80_columns(terminal):
    with redirect_stderr(terminal):
        report_progress()
        progress.finish("epoch 12/25  done")
    frame = next(line for line in reversed(terminal.lines) if "%" in line)
    for part in ("epoch 12/25 ", " 85%", " images/s", "loss 1.235", "accuracy 57.1%", " left"):
        assert part in frame
    assert max(len(line) for line in terminal.lines) <= 80
    assert terminal.lines[-2:] == ["epoch 12/25  done", ""]


@pytest.mark.parametrize(
    ("columns", "shown", "hidden"),
    [
        (100, ["━", " 85%", " images/s", "loss 1.235", "accuracy 57.1%", " left"], []),
        (60, [" 85%", "loss 1.235", "accuracy 57.1%", " left"], ["━", "images/s"]),
        (45, [" 85%", "accuracy 57.1%", " left"], ["loss"]),
        (30, [" 85%", " left"], ["accuracy"]),
    ],
)
def test_the_bar_keeps_what_fits_into_a_narrow_terminal(terminal, monkeypatch, columns, shown, hidden):
    monkeypatch.setenv("COLUMNS", str(columns))
    with redirect_stderr(terminal):
        report_progress()
        progress.finish()
    frame = next(line for line in reversed(terminal.lines) if "%" in line)
    assert frame.startswith("epoch 12/25 ")
    assert all(part in frame for part in shown)
    assert not any(part in frame for part in hidden)
    assert max(len(line) for line in terminal.lines) <= columns
    assert "…" not in frame


def test_a_download_is_shown_in_bytes_with_a_truncated_url(terminal):
    with redirect_stderr(terminal):
        progress.start("Fetching https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", 170_000_000, "B")
        for _ in range(3):
            progress.advance(10_000_000)
        progress.finish()
    frame = next(line for line in reversed(terminal.lines) if "%" in line)
    assert re.search(r"^Fetching https://.*… .* [\d.]+ [kMGTPEZY]?B/s  \d+:\d\d left", frame)
    assert len(frame) <= 80


def test_a_task_of_unknown_length_has_a_bar(terminal):
    with redirect_stderr(terminal):
        progress.start("scanning", 0)
        progress.advance(1)
        progress.finish()
    assert any(line.startswith("scanning ") for line in terminal.lines)


def test_only_final_lines_and_notices_are_printed_without_a_terminal(capsys):
    report_progress()
    progress.finish("epoch 12/25  done")
    progress.note("a notice")
    assert capsys.readouterr() == ("", "epoch 12/25  done\na notice\n")


def test_control_characters_are_escaped(capsys):
    progress.note("cat\x1b[2J\n.png is left out")
    assert capsys.readouterr().err == "cat\\x1b[2J\\n.png is left out\n"


def test_results_go_to_a_file_while_the_bar_is_on_the_terminal(terminal):
    with redirect_stderr(terminal), redirect_stdout(io.StringIO()) as file:
        report_progress()
        print_result("a result")
        progress.finish()
    assert file.getvalue() == "a result\n"
    assert "a result" not in terminal.getvalue()


def test_results_on_the_same_terminal_are_on_their_own_lines(terminal):
    with redirect_stderr(terminal), redirect_stdout(terminal):
        report_progress()
        print_result("a result")
        progress.finish()
    assert "a result" in terminal.lines


def test_markup_and_emoji_codes_are_printed_literally(terminal):
    with redirect_stderr(terminal):
        progress.start("[bold]:cat:", 1)
        progress.note("[red]note[/]")
        progress.finish("[/] :dog:")
    for text in ("[bold]:cat:", "[red]note[/]", "[/] :dog:"):
        assert text in terminal.getvalue()


def test_an_error_is_printed_after_the_bar_and_the_cursor_is_restored(
    tinysight, terminal, finished_run, photos, monkeypatch
):
    def fail(classifier, pixels):
        raise RunError("The weights are not finite.")

    monkeypatch.setattr(Classifier, "outputs", fail)
    with redirect_stderr(terminal):
        outcome = tinysight("predict", finished_run, photos)
    assert outcome.code == 2
    shown = terminal.getvalue()
    assert shown.rindex("error: ") > shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)
