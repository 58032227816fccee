"""`tinysight doctor`: diagnose the installation and the hardware."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from tinysight._util.console import stdout_console
from tinysight.cli.options import DataDirOption
from tinysight.cli.output import command, print_next
from tinysight.cli.usage import with_flags

_MARKS = {"ok": ("ok", ""), "note": ("--", "yellow"), "error": ("!!", "bold red")}


def doctor(data_dir: DataDirOption = None) -> None:
    """Check versions, processor, GPU, threads, memory, cache and CIFAR-10; suggest fixes.

    Example: tinysight doctor
    """
    from tinysight.doctor import run_checks

    table = Table("", "", "check", "result", "advice", box=None, pad_edge=False)
    section = ""
    findings = run_checks(data_dir)
    for finding in findings:
        mark, style = _MARKS[finding.severity]
        heading = "" if finding.section == section else finding.section
        section = finding.section
        cells = (mark, heading, finding.name, finding.value, with_flags(finding.advice))
        table.add_row(*(Text(cell) for cell in cells), style=style)
    stdout_console.print(table)
    if any(finding.severity == "error" for finding in findings):
        print_next("follow the advice for the checks marked !!, then run tinysight doctor again")
    else:
        print_next(command("train", "fast", "--data", "shapes", "--minutes", "1"))
