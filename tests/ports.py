"""Ports for servers of tests."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """One that is free now, from below those that the system gives to clients and to whoever asks for any.

    What the system gives it may give again at once, and tests run beside each other.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
