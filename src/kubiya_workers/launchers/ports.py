"""Which port a server gets. A port is ours only once it is bound: what is found free here may be taken a moment later,
so whoever starts a child on a candidate goes on to the next when the child meets a clash."""

import errno
import ipaddress
import socket
from collections.abc import Iterator

from kubiya_workers.settings.source import BadSetting

LOOPBACK = "127.0.0.1"
_NEIGHBOURS = 20


def candidates(host: str, first: int, count: int = _NEIGHBOURS) -> Iterator[int]:
    """Ports that are free at this moment: `first` and up to `count` after it, then one of the system's choice."""
    for port in range(first, min(first + count, 65_536)):
        with _socket(host) as probe:
            free = _binds(probe, host, port)
        if free:
            yield port
    with _socket(host) as probe:
        probe.bind((host, 0))
        port = probe.getsockname()[1]
    yield port


def listen(host: str, port: int, *, exactly: bool) -> socket.socket:
    """A listening socket on `port`, or, unless `exactly`, on the next free one when it is in use.

    Raises:
        BadSetting: the port is in use, or the address is not one of this machine's.
    """
    for number in (port,) if exactly else (*range(port, min(port + _NEIGHBOURS, 65_536)), 0):
        server = _socket(host)
        if _binds(server, host, number):
            server.listen(2048)
            server.setblocking(False)
            return server
    raise BadSetting(
        f"port {port} of {host} is in use by another program; choose another with --port or KUBIYA_SERVER_PORT"
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`; a name other than localhost is taken not to be."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    # A port whose last connections linger may be bound again; one that somebody listens on may not.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def _binds(made: socket.socket, host: str, port: int) -> bool:
    """Bind the socket; False, and it is closed, when the port is in use."""
    try:
        made.bind((host, port))
    except (OSError, OverflowError) as error:
        made.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return False
        raise BadSetting(
            f"cannot listen on {host}:{port} ({error}); use 127.0.0.1, or an address of this machine"
        ) from error
    return True
