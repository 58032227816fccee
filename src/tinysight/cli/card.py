"""`tinysight card`: what a reader must know before using a run."""

from __future__ import annotations

import json

from tinysight.cli.options import JsonOption, RunArgument
from tinysight.screen.console import output


def card(run: RunArgument, as_json: JsonOption = False) -> None:
    """Write RUN's card.md; what was not measured says so."""
    from tinysight.reporting.card import Card
    from tinysight.runs.evidence import Evidence
    from tinysight.runs.run import Run

    opened = Run.open(run)
    made = Card.of(opened)
    if as_json:
        output.print(json.dumps(made.document(), indent=2, ensure_ascii=False))
        return
    output.print(f"card: {Evidence(opened).write_card(made.markdown())}\nnext: put what it says is not stated into it")
