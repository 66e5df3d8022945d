"""Every command against the real processes, the way its user types it."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from .machine import KUBIYA, Machine, served, until

MASKED = "sk-this-is-nobodys-business"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which somebody has started the server."""
    with served(tmp_path_factory.mktemp("served")) as machine:
        yield machine


def fine(machine: Machine, *words: str, **options: Any) -> str:
    """What the command prints; it must succeed."""
    done = machine.run(*words, **options)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout


def listed(machine: Machine, *words: str) -> list[dict[str, Any]]:
    found = machine.json(*words)
    assert isinstance(found, list)
    return found


def one(machine: Machine, *words: str) -> dict[str, Any]:
    found = machine.json(*words)
    assert isinstance(found, dict)
    return found


def named(rows: list[dict[str, Any]]) -> set[str]:
    return {row["name"] for row in rows}


def test_agents_and_skills(running: Machine) -> None:
    assert {"shell", "file_system", "http"} <= named(listed(running, "skill", "list"))
    config = '{"allow": ["git"]}'
    skill = one(running, "skill", "create", "--name", "git-only", "--type", "shell", "--config", config)
    assert skill["type"] == "shell"

    words = ("--system-prompt", "You keep servers healthy.", "--model", "kubiya/offline", "--skill", "git-only")
    agent = one(running, "agent", "create", "--name", "ops", *words)
    assert {"ops", "default"} <= named(listed(running, "agent", "list"))
    assert one(running, "agent", "get", agent["id"]) == one(running, "agent", "get", "ops")
    shown = fine(running, "agent", "get", agent["id"])
    assert "You keep servers healthy." in shown
    assert "kubiya/offline" in shown

    twice = running.run("agent", "create", "--name", "ops")
    assert twice.returncode == 4
    assert "ops" in twice.stderr

    said = fine(running, "exec", "agent", "ops", "Run `git --version` and `uname -a`", "--local", "--yes")
    assert "git version" in said
    assert "Linux" not in said.split("$ uname -a")[1]

    assert running.run("agent", "delete", "ops").returncode == 2  # nobody is there to be asked
    fine(running, "agent", "delete", "ops", "--yes")
    assert "ops" not in named(listed(running, "agent", "list"))
    assert running.run("agent", "get", agent["id"]).returncode == 4
    fine(running, "skill", "delete", "git-only", "--yes")


def test_queues_environments_and_models(running: Machine) -> None:
    fine(running, "environment", "create", "staging", "--env", "STAGE=staging")
    assert {"default", "staging"} <= named(listed(running, "environment", "list"))
    queue = one(running, "queue", "create", "mine", "--environment", "staging", "--max-workers", "2")
    (row,) = [row for row in listed(running, "queue", "list") if row["name"] == "mine"]
    assert (row["id"], row["max_workers"], row["active_workers"]) == (queue["id"], 2, 0)
    assert "mine" in fine(running, "queue", "list")
    fine(running, "queue", "delete", "mine", "--yes")
    assert "mine" not in named(listed(running, "queue", "list"))
    fine(running, "environment", "delete", "staging", "--yes")

    values = [model["value"] for model in listed(running, "model", "list")]
    assert "kubiya/offline" in values
    assert one(running, "model", "get")["value"] == "kubiya/offline"
    assert one(running, "model", "get", "kubiya/offline")["provider"]


def test_keys(running: Machine) -> None:
    key = fine(running, "key", "create", "laptop").strip()
    assert re.fullmatch(r"kbw_[\w-]{40,}", key)
    (row,) = [row for row in listed(running, "key", "list") if row["name"] == "laptop"]
    assert key not in json.dumps(listed(running, "key", "list"))
    url = one(running, "server", "status")["url"]
    access = {"CONTROL_PLANE_URL": url, "KUBIYA_API_KEY": key}
    fine(running, "agent", "list", env=access)
    above = running.run("key", "list", env=access)
    assert above.returncode == 3  # a client's key is not for making keys
    fine(running, "key", "revoke", row["id"])
    revoked = running.run("agent", "list", env=access)
    assert revoked.returncode == 3
    assert "revoked" in revoked.stderr
    assert key not in revoked.stderr


def test_a_worker_in_the_foreground(running: Machine) -> None:
    """The example of the manual: one terminal serves the queue, another one uses it."""
    with running.spawn("worker", "start", "--queue-id=my-queue", "--type=local") as worker:
        worker.until_said("Ready")
        said = fine(running, "exec", "--queue", "my-queue", "Run `uname -a`", "--yes")
        system = subprocess.run(["uname", "-a"], capture_output=True, text=True, check=True).stdout.strip()
        assert system in said

        execution = listed(running, "execution", "list")[0]
        assert (execution["status"], execution["prompt"]) == ("completed", "Run `uname -a`")
        got = fine(running, "execution", "get", execution["id"])
        assert "completed" in got
        assert "my-queue" in got or execution["worker_queue_id"] in got
        logs = running.run("execution", "logs", execution["id"])
        assert logs.returncode == 0
        assert system in logs.stdout
        assert "✓ shell  uname -a" in logs.stderr
        streamed = fine(running, "execution", "logs", execution["id"], "--follow", "--stream-format", "json")
        assert all(json.loads(line) for line in streamed.splitlines())
        rows = [row for row in listed(running, "worker", "list") if row["queue"] == "my-queue"]
        assert [row["state"] for row in rows] == ["running"]
        fine(running, "worker", "status", "--queue-id", "my-queue")

        slow = "Run `echo begun >> begun.txt; sleep 62`"
        with running.spawn("exec", "--queue", "my-queue", slow, "--yes") as follower:
            until((running.work / "begun.txt").exists, "the tool runs")
            (current,) = listed(running, "execution", "list", "--status", "running")
            fine(running, "execution", "cancel", current["id"])
            assert follower.process.wait(20) == 1
            assert "cancelled" in follower.said()
        assert one(running, "execution", "get", current["id"])["status"] == "cancelled"

        assert worker.end(signal.SIGTERM) == 0
    log = (running.home / ".kubiya/workers/my-queue/logs/worker.log").read_text()
    for phrase in ("Connected to Temporal", "Task completed", "Ready", "Disconnected"):
        assert phrase in log
    assert not running.workers()
    assert running.run("worker", "status", "--queue-id", "my-queue").returncode == 1


def test_a_worker_drains(running: Machine) -> None:
    """Told to end while a tool runs, it lets the tool finish, and the run is not lost."""
    prompt = "Run `echo begun > drain.txt; sleep 2; echo finished >> drain.txt`"
    with ExitStack() as stack:
        first = stack.enter_context(running.spawn("worker", "start", "--queue-id=draining", "--type=local"))
        first.until_said("Ready")
        run = stack.enter_context(running.spawn("exec", "--queue", "draining", "--yes", prompt))
        until((running.work / "drain.txt").exists, "the tool runs")
        assert first.end(signal.SIGTERM) == 0
        assert (running.work / "drain.txt").read_text() == "begun\nfinished\n"
        with running.spawn("worker", "start", "--queue-id=draining") as second:
            assert run.process.wait(40) == 0, run.said() + second.said()
            assert second.end(signal.SIGINT) == 0
    assert (running.work / "drain.txt").read_text() == "begun\nfinished\n"


def test_the_server_starts_and_stops(machine: Machine) -> None:
    nothing = machine.run("server", "status")
    assert (nothing.returncode, nothing.stdout) == (1, "No control plane runs on this machine.\n")
    started = machine.run("server", "start")
    assert started.returncode == 0
    (key,) = re.findall(r"Admin key, shown once: (kbw_\S+)", started.stderr)
    assert (machine.home / ".kubiya/server/credentials").read_text().strip() == key
    again = machine.run("server", "start")
    assert again.returncode == 0
    assert "already ran" in again.stdout
    assert "kbw_" not in again.stdout + again.stderr
    status = one(machine, "server", "status")
    assert status["mode"] == "daemon"
    assert status["url"] in fine(machine, "server", "status")
    fine(machine, "server", "stop")
    machine.assert_nothing_left()
    fine(machine, "server", "stop")  # as often as one likes


def test_the_doctor(running: Machine) -> None:
    findings = listed(running, "doctor")
    assert {finding["result"] for finding in findings} <= {"ok", "warn", "skip"}
    assert {"python", "home", "disk", "key", "model", "clock"} <= named(findings)
    assert "✓ python" in fine(running, "doctor")
    sick = running.run("doctor", env={"CONTROL_PLANE_URL": "http://127.0.0.1:1", "KUBIYA_API_KEY": "k"})
    assert sick.returncode == 1
    assert "✗ control plane" in sick.stdout


def test_settings_with_their_secrets_masked(machine: Machine) -> None:
    env = {"KUBIYA_API_KEY": MASKED, "OPENAI_API_KEY": MASKED, "KUBIYA_MODEL": "some/model"}
    text = fine(machine, "config", "show", env=env)
    assert "some/model" in text
    assert MASKED not in text
    done = machine.run("config", "show", "-o", "json", env=env)
    rows = {row["setting"]: row for row in json.loads(done.stdout)}
    assert rows["KUBIYA_API_KEY"]["value"] == "***"
    assert rows["KUBIYA_MODEL"] == {**rows["KUBIYA_MODEL"], "value": "some/model", "from": "environment"}
    assert list(machine.home.iterdir()) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(machine: Machine, shell: str) -> None:
    assert "_KUBIYA_COMPLETE" in fine(machine, "completion", shell)


def test_completion_completes(machine: Machine) -> None:
    env = {**machine.environ, "_KUBIYA_COMPLETE": "bash_complete", "COMP_WORDS": "kubiya exe", "COMP_CWORD": "1"}
    done = subprocess.run([KUBIYA], env=env, cwd=machine.work, capture_output=True, text=True, check=False)
    assert {line.split(",")[-1] for line in done.stdout.splitlines()} == {"exec", "execution"}


def test_what_it_is(machine: Machine) -> None:
    assert re.fullmatch(r"kubiya \S+\n", fine(machine, "--version"))
    overview = fine(machine, "--help")
    for command in ("exec", "worker", "agent", "skill", "queue", "execution", "server", "doctor", "key", "config"):
        assert f"\n  {command} " in overview
        assert "--help" in fine(machine, command, "--help")
