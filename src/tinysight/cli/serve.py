"""`tinysight serve`: an HTTP API and an upload page for a run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from tinysight.cli.options import RunArgument
from tinysight.errors import InputError
from tinysight.machine import usable_cores
from tinysight.screen.console import output

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    run: RunArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; default: this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="TINYSIGHT_TOKEN", help="Token that requests must carry; required unless --host is this machine."
        ),
    ] = None,
) -> None:
    """Serve RUN over HTTP with an upload page."""
    if host not in _LOOPBACK and not token:
        raise InputError(f"--host {host}: exposes the server to the network. Set --token or TINYSIGHT_TOKEN.")

    from tinysight import packages

    packages.require("fastapi", extra="serve")
    from tinysight.runs.run import Run
    from tinysight.serving.crew import answer
    from tinysight.serving.listening import listen

    Run.open(run).classifier()  # reports a damaged run before the server starts
    sockets = listen(host, port, usable_cores())
    output.print(f"page: http://{f'[{host}]' if ':' in host else host}:{sockets[0].getsockname()[1]}/\nstop: Ctrl-C")
    sys.stdout.flush()  # a parent process may be waiting for the address
    answer(run, sockets, token)
