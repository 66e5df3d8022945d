"""Ports for servers of tests."""

import os
import random
import socket
from contextlib import suppress

_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8


def free_port() -> int:
    """One that is free now, from below those that the system gives to clients and to whoever asks for any.

    What the system gives it may give again at once. Tests run beside each other: each process of them has a share.
    """
    while True:
        port = 10_000 + _SHARE * 2_750 + random.randrange(2_750)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
