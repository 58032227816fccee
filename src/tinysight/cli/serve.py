"""`tinysight serve`: an HTTP API and an upload page for a run."""

from __future__ import annotations

from typing import Annotated

import typer

from tinysight import api
from tinysight._util.console import stdout_console
from tinysight._util.errors import InputError
from tinysight._util.hardware import usable_cores
from tinysight.cli.options import RunArgument
from tinysight.cli.output import print_next

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    run: RunArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; default: this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="TINYSIGHT_TOKEN", help="Token that requests must contain; required unless --host is this machine."
        ),
    ] = None,
) -> None:
    """Serve RUN over HTTP with an upload page.

    Example: tinysight serve runs/fast-1
    """
    if host not in _LOOPBACK and not token:
        raise InputError(f"--host {host}: exposes the server to the network. Set --token or TINYSIGHT_TOKEN.")

    from tinysight._util import optional_deps

    optional_deps.require("fastapi", extra="serve")
    from tinysight.serving.supervisor import listen, run_server

    api.open_run(run).classifier()  # reports a damaged run before the server starts
    sockets = listen(host, port, usable_cores())
    stdout_console.print(f"page: http://{f'[{host}]' if ':' in host else host}:{sockets[0].getsockname()[1]}/")
    print_next("open the page in a browser; stop the server with Ctrl-C")
    run_server(run, sockets, token or None)
