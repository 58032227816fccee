"""`tinysight doctor`: what this machine has, and what to do where something is amiss."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from tinysight.cli.options import DataDirOption
from tinysight.screen.console import output

_MARKS = {"ok": ("ok", ""), "note": ("--", "yellow"), "amiss": ("!!", "bold red")}


def doctor(data_dir: DataDirOption = None) -> None:
    """Report versions, processor, GPU, threads, caches, and whether CIFAR-10 is at hand."""
    from tinysight.doctor import examine

    table = Table("", "", "what", "found", "what to do", box=None, pad_edge=False)
    section = ""
    for finding in examine(data_dir):
        mark, style = _MARKS[finding.verdict]
        shown = "" if finding.section == section else finding.section
        section = finding.section
        cells = (mark, shown, finding.name, finding.value, finding.advice)
        table.add_row(*(Text(cell) for cell in cells), style=style)
    output.print(table)
