"""Listening sockets of the server."""

from __future__ import annotations

import socket
import sys

from tinysight.errors import InputError

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
