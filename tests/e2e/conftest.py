"""The real processes: the `kubiya` command, its control plane, Temporal and workers, in a home of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubiya_workers.testing import ScriptedModel

from .installation import Installation
from .machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    try:
        yield machine
    finally:
        machine.kill_everything()


@pytest.fixture
def model() -> Iterator[Callable[..., ScriptedModel]]:
    """Starts scripted models; they end with the test."""
    started: list[ScriptedModel] = []

    def start(*arguments: object, **options: object) -> ScriptedModel:
        scripted = ScriptedModel(*arguments, **options)  # type: ignore[arg-type]
        scripted.start()
        started.append(scripted)
        return scripted

    yield start
    for scripted in started:
        scripted.stop()


@pytest.fixture
def installation(machine: Machine) -> Iterator[Installation]:
    """Nothing is started yet: a test sets `environ` first where it needs to."""
    installed = Installation(machine)
    try:
        yield installed
    finally:
        installed.close()
