"""`tinysight doctor`: diagnose the installation and the hardware."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from tinysight._util.console import stdout_console
from tinysight.cli.options import DataDirOption

_MARKS = {"ok": ("ok", ""), "note": ("--", "yellow"), "error": ("!!", "bold red")}


def doctor(data_dir: DataDirOption = None) -> None:
    """Check versions, processor, GPU, threads, memory, cache and CIFAR-10; suggest fixes."""
    from tinysight.doctor import run_checks

    table = Table("", "", "check", "result", "advice", box=None, pad_edge=False)
    section = ""
    for result in run_checks(data_dir):
        mark, style = _MARKS[result.severity]
        heading = "" if result.section == section else result.section
        section = result.section
        cells = (mark, heading, result.name, result.value, result.advice)
        table.add_row(*(Text(cell) for cell in cells), style=style)
    stdout_console.print(table)
