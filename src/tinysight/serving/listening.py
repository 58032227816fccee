"""The server's process: its address, and how it ends."""

from __future__ import annotations

import signal
import socket
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

from tinysight.errors import InputError

_GRACE = 15  # seconds that requests in hand have to be finished


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there; port 0 is any that is free.

    Raises:
        InputError: the port is taken, or this machine has no such address.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise InputError(
            f"{host}, port {port}, cannot be listened on ({error.strerror}); choose another --port or --host."
        ) from error


def run(app: FastAPI, line: socket.socket) -> None:
    """Answer until the process is asked to end; what is in hand then is finished first."""
    # uvicorn finishes, and then sends on the signal that it was stopped by.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=_GRACE)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[line])
