"""Keys that register workers of one queue alone, and for a time alone."""

from collections.abc import Iterator
from typing import Any

import pytest

from .machine import Machine, served, until


def _one(machine: Machine, *words: str) -> dict[str, Any]:
    found = machine.json(*words)
    assert isinstance(found, dict)
    return found


def _url(machine: Machine) -> str:
    return _one(machine, "server", "status")["url"]


def _live(machine: Machine, queue: str) -> int:
    return _one(machine, "queue", "get", queue)["active_workers"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with served(tmp_path_factory.mktemp("keys")) as machine:
        yield machine


def test_a_key_of_a_queue_given_by_name_starts_workers_of_that_queue_alone(running: Machine) -> None:
    for queue in ("builds", "others"):
        assert running.run("queue", "create", queue).returncode == 0
    words = ("--scope=worker", "--queue=builds", "--expires=90d")
    key = running.run("key", "create", "build-host", *words).stdout.strip()
    known = {"KUBIYA_API_KEY": key, "CONTROL_PLANE_URL": _url(running)}
    start = ("worker", "start", "--type=local")

    refused = running.run(*start, "--queue-id=others", env=known)
    assert refused.returncode == 3, refused.stderr
    assert "another queue" in refused.stderr

    with running.spawn(*start, "--queue-id=builds", env=known):
        until(lambda: _live(running, "builds") == 1, "the worker of the key's own queue")
    assert running.run("key", "create", "spare").returncode == 0
    keys = running.run("key", "list").stdout.splitlines()
    assert any("build-host" in line and " ago" in line for line in keys)
    assert any("spare" in line and "never" in line for line in keys)


def test_a_key_that_expires_is_refused_afterwards(running: Machine) -> None:
    key = running.run("key", "create", "brief", "--expires=1s").stdout.strip()
    known = {"KUBIYA_API_KEY": key, "CONTROL_PLANE_URL": _url(running)}
    until(lambda: running.run("agent", "list", env=known).returncode == 3, "the end of the key")


@pytest.mark.parametrize(
    "words", [("--scope=client", "--queue=builds"), ("--scope=worker", "--queue=none-such"), ("--expires=soon",)]
)
def test_what_binds_no_key_is_refused(running: Machine, words: tuple[str, ...]) -> None:
    done = running.run("key", "create", "k", *words)
    assert done.returncode in (2, 4), done.stderr
    assert "Traceback" not in done.stderr
