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

from tinysight.errors import TinysightError
from tinysight.runs.run import Run
from tinysight.screen.console import complain
from tinysight.serving.app import create_app
from tinysight.serving.figures import shared
from tinysight.serving.subject import Served

_GRACE_SECONDS = 15  # for requests in flight at shutdown
_EXIT_CANNOT_START = 3


def answer(run: Path, lines: Sequence[socket.socket], token: str | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight are finished first.

    Args:
        run: the run directory.
        lines: listening sockets, one per process.
        token: bearer token that requests must carry, or None.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with shared(), suppress(KeyboardInterrupt):
        processes = [_start(run, listener, token) for listener in lines]
        try:
            while True:
                wait([process.sentinel for process in processes])
                processes = [
                    _restart_if_dead(process, run, listener, token)
                    for process, listener in zip(processes, lines, strict=True)
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
        app = create_app(Served(Run.open(run)), token=token)
    except TinysightError as error:
        complain(str(error))
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
