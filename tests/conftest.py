"""What every test stands on: no network but loopback, and the shared data where it is there."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A busy machine must not fail a property; CI draws the same examples every time.
settings.register_profile("house", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("house")

REPOSITORY = Path(__file__).parent.parent
SHARED = REPOSITORY / os.environ.get("EHRLICH_SHARED", "../shared")


class NetworkBlockedError(RuntimeError):
    """A test tried to leave this machine."""


def is_loopback(host: object) -> bool:
    """Whether an address stays on this machine. An empty host is the wildcard of a server."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in (None, "", "localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host).split("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def _offline() -> Iterator[None]:
    """Sockets reach loopback only, names other than localhost do not resolve."""

    def guard(real: Callable[..., Any], address_of: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            host = address_of(*args, **kwargs)
            if not is_loopback(host):
                raise NetworkBlockedError(f"tests run offline; something asked for {host!r}")
            return real(*args, **kwargs)

        return guarded

    def peer(sock: socket.socket, *args: Any) -> Any:
        return args[-1][0] if sock.family in (socket.AF_INET, socket.AF_INET6) else None

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, guard(getattr(socket.socket, name), peer))
        resolve = guard(socket.getaddrinfo, lambda host, *_, **__: host)
        patch.setattr(socket, "getaddrinfo", resolve)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of open test data; a test that needs it is skipped where it is not."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no test data at {SHARED}: name its folder in EHRLICH_SHARED")
    return SHARED.resolve()
