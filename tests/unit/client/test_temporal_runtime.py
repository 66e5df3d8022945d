"""The SDK's own metrics: on loopback when asked for, and never a reason not to start."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from kubiya_workers.client import temporal_runtime
from kubiya_workers.client.temporal_runtime import Measured, measured, runtime


@pytest.fixture(autouse=True)
def afresh() -> Iterator[None]:
    measured.cache_clear()
    yield
    measured.cache_clear()


def test_it_serves_on_loopback() -> None:
    found = measured()
    assert found.url is not None
    assert found.url.startswith("http://127.0.0.1:")
    assert httpx.get(found.url).status_code == 200
    assert measured() is found, "one a process"


def test_a_port_that_was_taken_meanwhile_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken, socket.socket() as free:
        for each in (taken, free):
            each.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free.getsockname()[1]])
        free.close()
        monkeypatch.setattr(temporal_runtime, "_free_port", lambda: next(ports))
        assert measured().url is not None


def test_without_any_port_it_counts_nothing_and_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(temporal_runtime, "_free_port", lambda: taken.getsockname()[1])
        assert measured() == Measured(runtime(), None)
