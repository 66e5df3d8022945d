"""A real browser, Debian's chromium, and a machine with a worker and its web interface."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.e2e.machine import Machine, served, until

from .browser import CHROMIUM, chromium

WEB = {"KUBIYA_WEBUI": "true", "KUBIYA_WEBUI_PORT": "0"}
REBOUND = "rebound.example"
"""A name of somebody else's that leads to this machine."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    with chromium(f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1") as started:
        yield started


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """With a worker of the queue `q`, kept in the background."""
    with served(tmp_path_factory.mktemp("ui"), **WEB) as running:
        started = running.run("worker", "start", "--type=local", "-d", "--queue-id=q")
        assert started.returncode == 0, started.stderr
        until((running.home / ".kubiya/console/console.json").exists, "the web interface is up")
        try:
            yield running
        finally:
            assert running.run("worker", "stop", "--queue-id=q").returncode == 0


@pytest.fixture
def address(machine: Machine) -> str:
    """One that lets a browser in."""
    shown = machine.json("ui", "--no-open")
    assert isinstance(shown, dict)
    return str(shown["open"])


@pytest.fixture
def pages(machine: Machine) -> Path:
    """Where somebody else's pages are."""
    directory = machine.root / "elsewhere"
    directory.mkdir(exist_ok=True)
    return directory
