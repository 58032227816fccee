"""Supervisor of the server: one process per core, restarted on failure."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import torch
import uvicorn

from tinysight._util.console import print_error
from tinysight._util.errors import InputError, TinysightError
from tinysight.runs.run import Run
from tinysight.serving.app import create_app
from tinysight.serving.served_model import ServedModel
from tinysight.serving.service import shared_metrics

_GRACE_SECONDS = 15  # for requests in flight at shutdown
_EXIT_CANNOT_START = 3


def run_server(run: Path, sockets: Sequence[socket.socket], token: str | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished first.

    Args:
        run: the run directory.
        sockets: listening sockets, one per process.
        token: bearer token that requests must carry, or None.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with shared_metrics(), suppress(KeyboardInterrupt):
        processes = [_start(run, listener, token) for listener in sockets]
        try:
            while True:
                wait([process.sentinel for process in processes])
                processes = [
                    _restart_if_dead(process, run, listener, token)
                    for process, listener in zip(processes, sockets, strict=True)
                ]
        finally:
            _terminate(processes)


def _start(run: Path, listener: socket.socket, token: str | None) -> SpawnProcess:
    process = get_context("spawn").Process(target=_serve, args=(run, listener, token), daemon=True)
    process.start()
    return process


def _restart_if_dead(process: SpawnProcess, run: Path, listener: socket.socket, token: str | None) -> SpawnProcess:
    """Return the process, or a new one if it is dead."""
    if process.is_alive():
        return process
    if process.exitcode == _EXIT_CANNOT_START:
        sys.exit(1)  # a new process would fail in the same way; the error is already printed
    return _start(run, listener, token)


def _terminate(processes: Sequence[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _serve(run: Path, listener: socket.socket, token: str | None) -> None:
    """Serve in one process of the pool."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        app = create_app(ServedModel(Run.open(run)), token=token)
    except TinysightError as error:
        print_error(str(error))
        sys.exit(_EXIT_CANNOT_START)
    gc.freeze()  # keeps garbage collection from scanning all of torch during a request
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, proxy_headers=False, timeout_graceful_shutdown=_GRACE_SECONDS
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([listener])


def _exit_with_parent() -> None:
    """Terminate this process when the supervisor dies, even by SIGKILL."""
    if parent := parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


# Linux balances connections among sockets that share a port. Elsewhere, all processes accept from one socket.
_PORT_SHARING = sys.platform == "linux"


def listen(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """Return `count` listening sockets; port 0 picks a free port.

    Raises:
        InputError: the port is in use, or the address is not available.
    """
    try:
        # First without port sharing: two servers must not use the same port.
        with socket.create_server((host, port), family=_family(host)) as exclusive:
            port = exclusive.getsockname()[1]
        if not _PORT_SHARING:
            return [socket.create_server((host, port), family=_family(host))] * count
        return [socket.create_server((host, port), family=_family(host), reuse_port=True) for _ in range(count)]
    except OSError as error:
        raise InputError(
            f"{host}:{port}: cannot be listened on ({error.strerror}). Choose another port or host."
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
