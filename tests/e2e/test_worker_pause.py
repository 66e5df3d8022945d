"""A paused worker finishes what it has, takes nothing, says so everywhere, and goes on when it is resumed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .machine import Machine, served, until

QUEUE = "--queue-id=q"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with served(tmp_path_factory.mktemp("paused")) as machine:
        fine(machine, "worker", "start", QUEUE, "-d")
        yield machine
        fine(machine, "worker", "stop", QUEUE)


@pytest.fixture(autouse=True)
def resumed(running: Machine) -> Iterator[None]:
    yield
    fine(running, "worker", "resume", QUEUE)


def fine(machine: Machine, *words: str) -> str:
    done = machine.run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seen(machine: Machine) -> Any:
    return machine.json("worker", "status", QUEUE)


def report(machine: Machine) -> dict[str, Any]:
    """What the worker itself says, empty while it does not answer."""
    return seen(machine)["report"] or {}


def execution(machine: Machine, prompt: str) -> Any:
    rows = machine.json("execution", "list")
    assert isinstance(rows, list)
    return next((row for row in rows if row["prompt"] == prompt), None)


def test_what_runs_ends_and_what_comes_waits(running: Machine) -> None:
    long, later = "Run `echo begun >> a; until [ -e go ]; do sleep 0.1; done; echo ended >> a`", "Run `echo later >> b`"
    with running.spawn("exec", "--queue", "q", "--yes", long) as first:
        until((running.work / "a").exists, "the tool runs")
        said = fine(running, "worker", "pause", QUEUE, "--note=moving the database")
        assert "paused, and finishes 1 running call" in said
        (running.work / "go").touch()
        with running.spawn("exec", "--queue", "q", "--yes", later) as second:
            until(lambda: "ended" in (running.work / "a").read_text(), "the call goes on to its end")
            until(lambda: report(running).get("activities", {}).get("used") == 0, "nothing runs any more")
            waiting = "those of queue q are paused (paused: moving the database)"
            until(lambda: waiting in got(running, later), "it says so")
            assert not (running.work / "b").exists()
            assert first.process.poll() is None and second.process.poll() is None
            status = running.run("worker", "status", QUEUE)
            assert status.returncode == 0
            assert "is running, and paused" in status.stdout and "moving the database" in status.stdout
            assert running.json("worker", "list")[0]["state"] == "paused"  # type: ignore[index]
            queue: Any = running.json("queue", "get", "q")
            assert queue["paused_workers"] == 1

            fine(running, "worker", "resume", QUEUE)
            assert second.process.wait(40) == 0
            assert first.process.wait(40) == 0
    assert (running.work / "a").read_text() == "begun\nended\n", "once, and not again after the pause"
    assert (running.work / "b").read_text() == "later\n"


def got(machine: Machine, prompt: str) -> str:
    row = execution(machine, prompt)
    if row is None:
        return ""
    whole: Any = machine.json("execution", "get", row["id"])
    return whole["status_reason"] or ""


def test_a_pause_ends_by_itself_and_outlives_a_restart(running: Machine) -> None:
    began = time.monotonic()
    fine(running, "worker", "pause", QUEUE, "--for=12s")
    fine(running, "worker", "restart", QUEUE)
    assert report(running).get("status") == "paused" or time.monotonic() - began >= 12
    until(lambda: report(running).get("taking"), "it takes work again")
    assert "alive" in fine(running, "exec", "--queue", "q", "--yes", "Run `echo alive`")


def test_pausing_twice_and_resuming_twice(running: Machine) -> None:
    for _ in range(2):
        assert "is paused" in fine(running, "worker", "pause", QUEUE)
    assert "takes work again" in fine(running, "worker", "resume", QUEUE)
    assert "No worker of queue q was paused" in fine(running, "worker", "resume", QUEUE)
    assert "alive" in fine(running, "exec", "--queue", "q", "--yes", "Run `echo alive`")


def test_pausing_one_that_does_not_run_says_so(running: Machine) -> None:
    assert "does not run here" in fine(running, "worker", "pause", "--queue=nobody")
    assert Path(running.home / ".kubiya/run/nobody/pause.json").stat().st_mode & 0o777 == 0o600
    assert "its worker does not run here" in fine(running, "worker", "resume", "--queue=nobody")


def known(machine: Machine) -> Any:
    """The queue's worker, in its line of the list."""
    rows: Any = machine.json("worker", "list")
    return rows[0]


def test_one_that_is_named_by_its_id_hears_wherever_it_is(running: Machine) -> None:
    worker = known(running)["worker_id"]
    assert "has heard that it is to pause" in fine(running, "worker", "pause", worker, "--note=from afar", "--for=1h")
    until(lambda: report(running).get("pause"), "it is paused")
    assert seen(running)["pause"]["note"] == "from afar" and seen(running)["pause"]["until"]
    again = running.run("worker", "pause", worker)
    assert again.returncode == 4 and "cannot be asked to pause now" in again.stderr
    fine(running, "worker", "resume", worker)
    until(lambda: report(running).get("taking"), "it takes work again")
    fine(running, "worker", "restart", worker)
    until(lambda: known(running)["worker_id"] not in (None, worker), "another runs in its place")
    assert known(running)["restarts"] == 1
    gone = running.run("worker", "drain", worker)
    assert gone.returncode == 4 and "it hears nothing any more" in gone.stderr
    fine(running, "worker", "drain", known(running)["worker_id"])
    until(lambda: known(running)["state"] == "stopped", "it has ended, and is not started again")
    both = running.run("worker", "pause", worker, QUEUE)
    assert both.returncode == 2 and "not both" in both.stderr
    fine(running, "worker", "start", QUEUE, "-d")


def test_a_run_is_cancelled_while_a_paused_worker_finishes_its_call(running: Machine) -> None:
    prompt = "Run `echo begun >> c; sleep 63`"
    with running.spawn("exec", "--queue", "q", "--yes", prompt) as run:
        until((running.work / "c").exists, "the tool runs")
        fine(running, "worker", "pause", QUEUE)
        fine(running, "execution", "cancel", execution(running, prompt)["id"])
        assert run.process.wait(30) == 1
    assert execution(running, prompt)["status"] == "cancelled"
    assert json.dumps(execution(running, prompt)).count("handed back") == 0
