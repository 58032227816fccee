"""`tinysight serve`: a run answers over HTTP, and shows a page."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tinysight.cli.options import RunArgument
from tinysight.errors import InputError
from tinysight.machine import usable_cores
from tinysight.screen.console import output

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    run: RunArgument,
    host: Annotated[str, typer.Option(help="Whom to listen to; this machine alone unless said.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    token: Annotated[
        str | None, typer.Option(envvar="TINYSIGHT_TOKEN", help="What requests must carry; needed beyond this machine.")
    ] = None,
) -> None:
    """Answer pictures over HTTP with RUN's classifier, and show a page to drop them on."""
    if host not in LOOPBACK and not token:
        raise InputError(
            f"--host {host} lets other machines in: say by --token, or TINYSIGHT_TOKEN, what they must know."
        )

    from tinysight import packages

    packages.require("fastapi", extra="serve")
    from tinysight.runs.run import Run
    from tinysight.serving.crew import answer
    from tinysight.serving.listening import listen

    Run.open(run).classifier()  # what is wrong with it is said before anybody is let in
    lines = listen(host, port, usable_cores())
    output.print(f"page: http://{f'[{host}]' if ':' in host else host}:{lines[0].getsockname()[1]}/\nstop: Ctrl-C")
    sys.stdout.flush()  # whoever started it may be waiting for the address
    answer(run, lines, token)
