"""`tinysight card`: write a model card."""

from __future__ import annotations

import json

from tinysight.cli.options import JsonOption, RunArgument
from tinysight.screen.console import output


def card(run: RunArgument, as_json: JsonOption = False) -> None:
    """Write a model card to RUN/card.md; missing measurements are marked as such."""
    from tinysight.reporting.card import Card
    from tinysight.runs.evidence import Evidence
    from tinysight.runs.run import Run

    opened = Run.open(run)
    model_card = Card.of(opened)
    if as_json:
        output.print(json.dumps(model_card.document(), indent=2, ensure_ascii=False))
        return
    path = Evidence(opened).write_card(model_card.markdown())
    output.print(f'card: {path}\nnext: fill in the fields marked "not stated"')
