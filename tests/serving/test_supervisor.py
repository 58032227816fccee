"""Listening sockets: free and taken ports, several processes on one port, and addresses that are not available."""

import errno
import os
import re
import socket

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from tinysight._util.errors import InputError
from tinysight.serving.supervisor import listen


@pytest.fixture
def opened():
    """Return a function that listens, and close its sockets afterwards."""
    sockets = []

    def start(*arguments):
        sockets.extend(started := listen(*arguments))
        return started

    yield start
    for one in sockets:
        one.close()


def test_port_0_picks_a_free_port_that_all_sockets_share(opened):
    sockets = opened("127.0.0.1", 0, 3)
    (port,) = {one.getsockname()[1] for one in sockets}
    assert (len(sockets), port > 0) == (3, True)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        assert connection.getpeername() == ("127.0.0.1", port)


def test_port_of_another_server_is_not_shared(opened):
    port = opened("127.0.0.1", 0)[0].getsockname()[1]
    reason = os.strerror(errno.EADDRINUSE)
    expected = f"127.0.0.1, port {port}: cannot listen ({reason}). Choose another port or host."
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        listen("127.0.0.1", port)


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_ipv6_address_is_supported(opened):
    try:
        (one,) = opened("::1", 0)
    except InputError:
        pytest.skip("this machine has no IPv6 address")
    assert one.family == socket.AF_INET6
    assert one.getsockname()[0] == "::1"


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "1.2.3:4"])
def test_address_that_is_not_available_is_named_with_a_reason(host):
    """192.0.2.0/24 and 2001:db8::/32 are reserved for documentation; the last one is not an address."""
    with pytest.raises(InputError, match=rf"^{re.escape(host)}, port 0: cannot listen \([A-Z].*\)\. Choose") as error:
        listen(host, 0)
    assert "Unknown error" not in str(error.value)
