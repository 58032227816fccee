"""`tinysight doctor`: what this machine has, and what to do where something is amiss."""

from __future__ import annotations

from rich.table import Table

from tinysight.cli.console import output
from tinysight.cli.options import DataDirOption


def doctor(data_dir: DataDirOption = None) -> None:
    """Report versions, processor, GPU, threads, caches, and whether CIFAR-10 is at hand."""
    from tinysight.doctor import examine

    table = Table("", "what", "found", "what to do", box=None, pad_edge=False)
    for finding in examine(data_dir):
        table.add_row(finding.section, finding.name, finding.value, finding.advice)
    output.print(table)
