"""A local worker has the directory, the process and the virtual environment that its users were told of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .machine import Machine, served

START = ("worker", "start", "--queue-id=dev-queue", "--type=local")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Machine]:
    with served(tmp_path) as machine:
        yield machine


def test_a_worker_in_its_own_environment(running: Machine) -> None:
    directory = running.home / ".kubiya" / "workers" / "dev-queue"
    with running.spawn(*START) as worker:
        worker.until_said("Ready")
        assert {path.name for path in directory.iterdir()} == {"venv", "logs", "worker.py", "requirements.txt"}
        process = running.workers()[0]
        python, script = str(directory / "venv" / "bin" / "python"), str(directory / "worker.py")
        assert process.cmdline() == [python, script, "--queue-id", "dev-queue"]
        done = running.run("exec", "--queue", "dev-queue", "Run `which python pip`", "--yes")
        assert done.returncode == 0, done.stderr
        assert python in done.stdout
        assert "Connected to Temporal" in (directory / "logs" / "worker.log").read_text()
        assert worker.end() == 0
    again = (directory / "venv" / ".kubiya.json").stat().st_mtime_ns
    with running.spawn(*START) as worker:
        worker.until_said("Ready")
        assert worker.end() == 0
    assert (directory / "venv" / ".kubiya.json").stat().st_mtime_ns == again


def test_a_broken_requirement_stops_the_start(running: Machine) -> None:
    with running.spawn(*START) as worker:
        worker.until_said("Ready")
        requirements = running.home / ".kubiya" / "workers" / "dev-queue" / "requirements.txt"
        requirements.write_text("--no-index\nclick==0.0.0.1\n")
        refused = running.run(*START)
        assert refused.returncode == 6
        assert "requirements.txt cannot be installed" in refused.stderr
        assert "click" in refused.stderr
        assert len(running.workers()) == 1
        done = running.run("exec", "--queue", "dev-queue", "Run `echo alive`", "--yes")
        assert done.returncode == 0, done.stderr
        assert worker.end() == 0
