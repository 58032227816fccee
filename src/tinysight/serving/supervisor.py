"""Supervisor of the server: one process per core, restarted on failure."""

from __future__ import annotations

import gc
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Self

import torch
import uvicorn

from tinysight._util.console import print_error
from tinysight._util.errors import InputError, TinysightError
from tinysight._util.platform import CAN_SHARE_PORTS, stop_signals
from tinysight.runs.run import Run
from tinysight.serving.app import create_app
from tinysight.serving.served_model import ServedModel
from tinysight.serving.service import shared_metrics

_GRACE_SECONDS = 15  # for requests in flight at shutdown
_EXIT_CANNOT_START = 3


def run_server(run: Path, sockets: Sequence[socket.socket], token: str | None = None) -> None:
    """Serve until Ctrl-C or SIGTERM; requests in flight are finished first.

    Args:
        run: the run directory.
        sockets: listening sockets, one per process.
        token: bearer token that requests must carry, or None.
    """
    for number in stop_signals():
        if number != signal.SIGINT:  # which raises KeyboardInterrupt
            signal.signal(number, lambda *_: sys.exit(0))
    with shared_metrics(), _Pool(run, token) as pool, suppress(KeyboardInterrupt):
        processes = [pool.start(listener) for listener in sockets]
        while True:
            wait([process.sentinel for process in processes])
            processes = [
                process if process.is_alive() else pool.restart(process, listener)
                for process, listener in zip(processes, sockets, strict=True)
            ]


class _Pool:
    """Server processes, which stop when the pool closes or the supervisor dies.

    They share the read end of a pipe that only the supervisor can write to. Its end is their signal to stop, because
    Windows has no SIGTERM and even SIGKILL closes a pipe.
    """

    def __init__(self, run: Path, token: str | None) -> None:
        self._run, self._token = run, token
        self._reader, self._writer = Pipe(duplex=False)
        self._processes: list[SpawnProcess] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the processes finish their requests, and wait for them."""
        self._writer.close()
        for process in self._processes:
            process.join()
        self._reader.close()

    def start(self, listener: socket.socket) -> SpawnProcess:
        """Start a process."""
        arguments = (self._run, listener, self._token, self._reader)
        process = get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
        process.start()
        self._processes.append(process)
        return process

    def restart(self, process: SpawnProcess, listener: socket.socket) -> SpawnProcess:
        """Start a process in place of a dead one."""
        if process.exitcode == _EXIT_CANNOT_START:
            sys.exit(1)  # a new process would fail in the same way; the error is already printed
        self._processes.remove(process)
        return self.start(listener)


def _serve(run: Path, listener: socket.socket, token: str | None, supervisor: Connection) -> None:
    """Serve in one process of the pool."""
    threading.Thread(target=_stop_at_end_of, args=(supervisor,), daemon=True).start()
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


def _stop_at_end_of(supervisor: Connection) -> None:
    """Stop this process once the pipe of the supervisor ends."""
    with suppress(EOFError, OSError):
        supervisor.recv_bytes()
    signal.raise_signal(signal.SIGTERM)


def listen(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """Return `count` listening sockets; port 0 picks a free port.

    Raises:
        InputError: the port is in use, or the address is not available.
    """
    try:
        # First without port sharing: two servers must not use the same port.
        with socket.create_server((host, port), family=_family(host)) as exclusive:
            port = exclusive.getsockname()[1]
        if not CAN_SHARE_PORTS:  # all processes accept from one socket
            return [socket.create_server((host, port), family=_family(host))] * count
        return [socket.create_server((host, port), family=_family(host), reuse_port=True) for _ in range(count)]
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while ")[0]  # Python appends the address
        raise InputError(f"{host}, port {port}: cannot listen ({reason}). Choose another port or host.") from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
