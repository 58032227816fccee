"""The server's processes: one a core, each with a network of its own, replaced when it dies."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from socket import socket

import torch
import uvicorn

from tinysight.errors import TinysightError
from tinysight.runs.run import Run
from tinysight.screen.console import complain
from tinysight.serving import figures
from tinysight.serving.app import create_app
from tinysight.serving.subject import Served

_GRACE = 15  # seconds that requests in hand have to be finished
_CANNOT_START = 3


def answer(run: Path, lines: Sequence[socket], token: str | None = None) -> None:
    """Answer until asked to end; what is in hand then is finished first.

    Args:
        run: the run directory.
        lines: where requests come in, one a process.
        token: what requests must carry, or None.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with figures.shared(), suppress(KeyboardInterrupt):
        crew = [_start(run, line, token) for line in lines]
        try:
            while True:
                wait([one.sentinel for one in crew])
                crew = [_kept(one, run, line, token) for one, line in zip(crew, lines, strict=True)]
        finally:
            _end(crew)


def _start(run: Path, line: socket, token: str | None) -> SpawnProcess:
    process = get_context("spawn").Process(target=_work, args=(run, line, token), daemon=True)
    process.start()
    return process


def _kept(process: SpawnProcess, run: Path, line: socket, token: str | None) -> SpawnProcess:
    """Return the process, or another one in its place if it is dead."""
    if process.is_alive():
        return process
    if process.exitcode == _CANNOT_START:
        sys.exit(1)  # as would the next one; it has said why
    return _start(run, line, token)


def _end(crew: Sequence[SpawnProcess]) -> None:
    for process in crew:
        process.terminate()
    for process in crew:
        process.join()


def _work(run: Path, line: socket, token: str | None) -> None:
    """Be one of the processes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        app = create_app(Served(Run.open(run)), token=token)
    except TinysightError as error:
        complain(str(error))
        sys.exit(_CANNOT_START)
    gc.freeze()  # what is here by now stays: Python need not search all of torch for garbage while somebody waits
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, proxy_headers=False, timeout_graceful_shutdown=_GRACE
    )
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run([line])


def _end_with_parent() -> None:
    """Nobody is left behind when the first process is killed."""
    if parent := parent_process():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
