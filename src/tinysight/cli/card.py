"""`tinysight card`: write a model card."""

from __future__ import annotations

import json

from tinysight._util.console import stdout_console
from tinysight.cli.options import JsonOption, RunArgument


def card(run: RunArgument, as_json: JsonOption = False) -> None:
    """Write a model card to RUN/card.md; missing measurements are marked as such."""
    from tinysight.auditing.registry import report_sections
    from tinysight.reporting.card import Card
    from tinysight.runs.artifacts import RunArtifacts
    from tinysight.runs.run import Run

    opened = Run.open(run)
    model_card = Card.from_run(opened, report_sections(opened))
    if as_json:
        stdout_console.print(json.dumps(model_card.to_dict(), indent=2, ensure_ascii=False))
        return
    path = RunArtifacts(opened).write_card(model_card.to_markdown())
    stdout_console.print(f'card: {path}\nnext: fill in the fields marked "not stated"')
