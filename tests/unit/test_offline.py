"""The guard of conftest.py: tests reach this machine and no other."""

from __future__ import annotations

import socket

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "example.invalid"])
def test_another_host_is_refused_before_the_first_byte(host: str) -> None:
    with pytest.raises(RuntimeError, match="tests run offline"):
        socket.create_connection((host, 80), timeout=1)
    with socket.socket() as stream, pytest.raises(RuntimeError, match="tests run offline"):
        stream.connect((host, 80))
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with datagram, pytest.raises(RuntimeError, match="tests run offline"):
        datagram.sendto(b"", (host, 53))


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("localhost", port), timeout=5) as client:
            assert client.getpeername()[1] == port
