"""`tinysight card`: write a model card."""

from __future__ import annotations

import json

from tinysight import api
from tinysight._util.console import stdout_console
from tinysight.cli.options import JsonOption, RunArgument
from tinysight.cli.output import print_next


def card(run: RunArgument, as_json: JsonOption = False) -> None:
    """Write a model card to RUN/card.md; missing measurements are marked as such.

    Example: tinysight card runs/fast-1
    """
    model_card = api.card(run, write=not as_json)
    if as_json:
        stdout_console.print(json.dumps(model_card.to_dict(), indent=2, ensure_ascii=False))
        return
    stdout_console.print(f"card: {run / 'card.md'}")
    print_next('fill in the fields marked "not stated"')
