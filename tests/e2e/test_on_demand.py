"""Workers that are started for an execution where none is live, and what is left of them: nothing, whatever happens."""

import json
import re
import shlex
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kubiya_workers.testing import Reply, ScriptedModel, error, tool
from tests.processes import ended

from .installation import lines, ports_of_its_own
from .machine import Machine, served, until

Start = Callable[..., ScriptedModel]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which somebody has started the server, and no worker."""
    environ = {"OPENAI_API_KEY": "sk-of-the-control-plane", "KUBIYA_LLM_MODEL": "kubiya/offline"}
    with served(tmp_path_factory.mktemp("served"), **environ) as machine:
        yield machine


def use(machine: Machine, model: ScriptedModel) -> None:
    machine.environ |= {"KUBIYA_LLM_BASE_URL": model.url, "KUBIYA_LLM_MODEL": "scripted"}


def marks(machine: Machine) -> Path:
    """Where tools write, which have directories of their own."""
    return machine.work / "marks.txt"


def marking(machine: Machine, text: str, *, seconds: float = 0) -> Reply:
    return tool("shell", {"command": f"echo {text} >> {shlex.quote(str(marks(machine)))}; sleep {seconds}"})


def left(machine: Machine) -> list[str]:
    """What is stored or written of workers on demand."""
    directory = machine.home / ".kubiya/server/on-demand"
    with sqlite3.connect(machine.home / ".kubiya/server/kubiya.db") as database:
        rows = database.execute("SELECT name FROM provisions UNION SELECT name FROM queues").fetchall()
        keys = database.execute("SELECT name FROM keys WHERE queue_id IS NOT NULL AND revoked_at IS NULL").fetchall()
    database.close()
    found = list(directory.iterdir()) if directory.exists() else []
    return [*(row[0] for row in (*rows, *keys)), *(entry.name for entry in found)]


def assert_all_is_gone(machine: Machine) -> None:
    until(lambda: not left(machine) and not machine.workers(), f"nothing is left: {left(machine)}", 30)


def execution(machine: Machine) -> dict[str, Any]:
    """The newest one."""
    (newest, *_) = machine.json("execution", "list")  # type: ignore[misc]
    return newest


def test_from_nothing_to_nothing(machine: Machine) -> None:
    done = machine.run("exec", "Run `pwd`", "--yes")
    assert done.returncode == 0, done.stderr
    assert "/.kubiya/server/on-demand/on-demand-" in done.stdout, "its tools have a directory of their own"
    assert "Waiting for a worker on demand" in done.stderr
    machine.assert_nothing_left()
    assert left(machine) == []


def test_a_worker_has_nothing_of_its_control_planes_keys(running: Machine) -> None:
    with running.spawn("exec", "Run `sleep 2`", "--yes") as run:
        until(lambda: running.workers(), "the worker is there")
        (worker,) = running.workers()
        environ = worker.environ()
        assert run.process.wait(60) == 0, run.said()
    assert "OPENAI_API_KEY" not in environ
    admin = (running.home / ".kubiya/server/credentials").read_text().strip()
    assert environ["KUBIYA_API_KEY"] not in ("", admin)
    assert_all_is_gone(running)
    assert [key["name"] for key in running.json("key", "list")] == ["local"]  # type: ignore[union-attr, index]


def test_a_queue_of_its_own_is_nobody_elses(running: Machine) -> None:
    """One that is made for a run does not take the next one that names no queue."""
    with running.spawn("exec", "--local", "Run `sleep 3`", "--yes") as first:
        until(running.sleeps, "its tool runs", 40)
        done = running.run("exec", "Run `echo second`", "--yes", "-o", "json")
        assert done.returncode == 0, done.stderr
        assert first.process.wait(60) == 0, first.said()
    assert "second" in json.loads(done.stdout)["response"]
    assert "Waiting for a worker on demand" in done.stderr
    assert_all_is_gone(running)


def test_no_more_at_once_than_may_be_and_the_others_say_so(machine: Machine) -> None:
    machine.environ["KUBIYA_MAX_PROVISIONED"] = "4"
    assert machine.run("server", "start").returncode == 0
    most = 0
    with ExitStack() as stack:
        runs = [
            stack.enter_context(machine.spawn("exec", f"Run `echo done-{number}`", "--yes")) for number in range(20)
        ]

        def over() -> bool:
            nonlocal most
            most = max(most, len(machine.workers()))
            return all(run.process.poll() is not None for run in runs)

        until(over, "all of them are over", 180)
    assert [run.process.returncode for run in runs] == [0] * 20, [run.said() for run in runs]
    assert all(f"done-{number}" in run.out.read_text() for number, run in enumerate(runs))
    assert 2 <= most <= 4
    assert sum("all 4 that may be there at once are at work" in run.err.read_text() for run in runs) >= 10
    assert_all_is_gone(machine)
    assert machine.run("server", "stop").returncode == 0
    machine.assert_nothing_left()


def test_its_control_plane_is_killed_while_a_worker_is_started(machine: Machine) -> None:
    machine.environ |= ports_of_its_own()  # the command looks for the next one where the first was
    assert machine.run("server", "start").returncode == 0
    (server,) = machine.running(lambda words: "kubiya_workers.cli.serve" in words)
    prompt = f"Run `echo once >> {marks(machine)}`"
    with machine.spawn("exec", "--yes", prompt) as run:
        run.until_said("which is being started")
        server.kill()
        until(lambda: not machine.workers(), "its worker went with it", 30)
        assert left(machine) != []
        assert machine.run("server", "start").returncode == 0
        assert run.process.wait(90) == 0, run.said()
    assert lines(marks(machine)) == ["once"]
    assert_all_is_gone(machine)
    assert machine.run("server", "stop").returncode == 0
    machine.assert_nothing_left()


def test_what_is_left_that_nobody_wants_goes_with_the_next_start(machine: Machine) -> None:
    orphan = machine.home / ".kubiya/server/on-demand/on-demand-00000000"
    (orphan / "work").mkdir(parents=True)
    done = machine.run("exec", "Run `true`", "--yes")
    assert done.returncode == 0, done.stderr
    assert not orphan.exists()


def test_its_worker_is_killed(machine: Machine, model: Start) -> None:
    """The run is durable: another is started, and goes on where the first one was."""
    use(machine, model([marking(machine, "once"), Reply("said at last", delay_s=2)]))
    with machine.spawn("exec", "go", "--yes") as run:
        until(lambda: lines(marks(machine)), "the tool has run", 40)
        (worker,) = machine.workers()
        worker.kill()
        assert run.process.wait(90) == 0, run.said()
    assert run.out.read_text() == "said at last\n"
    assert lines(marks(machine)) == ["once"]
    machine.assert_nothing_left()
    assert left(machine) == []


def test_cancelled_before_and_after_its_worker_is_there(running: Machine) -> None:
    for moment in ("which is being started", "✓ shell"):
        with running.spawn("exec", "Run `echo first` and `sleep 60`", "--yes") as run:
            run.until_said(moment)
            cancelled = running.run("execution", "cancel", execution(running)["id"])
            assert cancelled.returncode == 0, cancelled.stderr
            assert run.process.wait(60) == 1, run.said()
        assert execution(running)["status"] == "cancelled"
        assert_all_is_gone(running)


def test_who_leaves_does_not_end_it(machine: Machine) -> None:
    """The control plane was started for the command alone; it stays for the run, and goes after it."""
    with machine.spawn("exec", "--yes", f"Run `sleep 3; echo ended >> {marks(machine)}`") as run:
        until(machine.sleeps, "the tool runs", 40)
        assert run.end(signal.SIGINT) == 130
    assert "The execution goes on" in run.said()
    until(lambda: lines(marks(machine)) == ["ended"], "it goes on", 30)
    machine.assert_nothing_left()
    assert left(machine) == []


def test_a_failed_ones_worker_is_kept_where_that_is_asked(machine: Machine, model: Start) -> None:
    use(machine, model([marking(machine, "x"), error(400, "no more")]))
    assert machine.run("server", "start").returncode == 0
    done = machine.run("exec", "go", "--yes", "--keep-on-failure")
    assert done.returncode == 1
    look, remove = re.findall(r"(?:Look at it|Remove it): +(.+)", done.stderr)
    assert machine.run("server", "stop").returncode == 0
    assert machine.run("server", "start").returncode == 0
    said = subprocess.run(look.replace("less ", "cat "), shell=True, capture_output=True, text=True, check=True).stdout
    assert "Ready" in said and "work" in said
    assert len(left(machine)) == 2, "the row and the directory"
    subprocess.run(remove, shell=True, check=True)
    assert machine.run("server", "stop").returncode == 0
    done = machine.run("exec", "go", "--yes")
    assert done.returncode == 1 and "kept" not in done.stderr
    machine.assert_nothing_left()
    assert left(machine) == []


def test_a_failed_local_ones_worker_is_kept_where_that_is_asked(machine: Machine, model: Start) -> None:
    use(machine, model(error(400, "no more")))
    done = machine.run("exec", "--local", "go", "--yes", "--keep-on-failure")
    assert done.returncode == 1
    look, remove = re.findall(r"(?:Look at it|Remove it): +(.+)", done.stderr)
    said = subprocess.run(look.replace("less ", "cat "), shell=True, capture_output=True, text=True, check=True).stdout
    assert "Ready" in said
    subprocess.run(remove, shell=True, check=True)
    workers = machine.home / ".kubiya/workers"
    assert list(workers.iterdir()) == []
    fine = machine.run(
        "exec",
        "--local",
        "Run `true`",
        "--yes",
        "--keep-on-failure",
        env={"KUBIYA_LLM_BASE_URL": "", "KUBIYA_LLM_MODEL": ""},
    )
    assert fine.returncode == 0, fine.stderr
    assert "kept" not in fine.stderr and list(workers.iterdir()) == []


def test_none_are_started_where_that_is_not_wanted(machine: Machine) -> None:
    machine.environ["KUBIYA_PROVISIONER"] = "none"
    done = machine.run("exec", "Run `true`", "--yes")
    assert done.returncode == 4
    assert "starts none on demand" in done.stderr and "kubiya worker start --queue-id=" in done.stderr
    machine.assert_nothing_left()


def test_one_that_cannot_be_started_is_its_executions_end(machine: Machine) -> None:
    machine.environ |= {"KUBIYA_PROVISIONER": "docker", "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    done = machine.run("exec", "Run `true`", "--yes")
    assert done.returncode == 1
    assert "worker_lost" in done.stderr and "no Docker daemon answers" in done.stderr
    machine.assert_nothing_left()
    assert left(machine) == []


def test_warm_ones_wait_for_whoever_comes(machine: Machine) -> None:
    machine.environ["KUBIYA_WARM_WORKERS"] = "1"
    assert machine.run("server", "start").returncode == 0

    def warm() -> list[str]:
        shown = machine.json("worker", "list", "--all")
        return [worker["worker_id"] for worker in shown if worker["state"] == "active"]  # type: ignore[union-attr, index]

    until(lambda: len(warm()) == 1, "one is warm", 40)
    (first,) = warm()
    done = machine.run("exec", "Run `echo fast`", "--yes")
    assert done.returncode == 0 and "being started" not in done.stderr
    assert execution(machine)["worker_id"] == first
    until(lambda: len(now := warm()) == 1 and now != [first], "another one is warm", 40)
    until(lambda: len(machine.workers()) == 1, "the one that was used has ended", 30)
    (worker,) = machine.workers()
    worker.kill()
    until(lambda: [one.pid for one in machine.workers()] not in ([], [worker.pid]), "it is replaced", 40)
    assert machine.run("server", "stop").returncode == 0
    until(lambda: not machine.processes(), "nothing runs", 30)
    assert ended(worker)
