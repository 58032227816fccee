"""Where the server listens."""

from __future__ import annotations

import socket
import sys

from tinysight.errors import InputError

# The kernel of Linux shares connections out among sockets of one address; elsewhere all processes take from one.
_SHARED_OUT = sys.platform == "linux"


def listen(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """Return `count` sockets that listen there; port 0 is any that is free.

    Raises:
        InputError: the port is taken, or this machine has no such address.
    """
    try:
        # Alone at first: two servers of this program must not share a port.
        with socket.create_server((host, port), family=_family(host)) as alone:
            port = alone.getsockname()[1]
        if not _SHARED_OUT:
            return [socket.create_server((host, port), family=_family(host))] * count
        return [socket.create_server((host, port), family=_family(host), reuse_port=True) for _ in range(count)]
    except OSError as error:
        raise InputError(
            f"{host}, port {port}, cannot be listened on ({error.strerror}); choose another --port or --host."
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
