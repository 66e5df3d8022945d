"""What must never be seen, by whom what may be opened, and who is let in.

Tools run as the same user as their worker. A tool that reads another process's memory or environment under /proc is
therefore a known limit of local workers, and not looked at here: whoever needs that boundary runs workers elsewhere.
"""

import base64
import ipaddress
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest

from kubiya_workers.testing import Reply, ScriptedModel, error, tool

from .machine import Machine, served, until

KEY = "own-key-4f1c9a7be2d84b53"
SECRET = 's3cr3t/"v4lue" of+9b1e77c0aa'
"""With a blank, where the scripted model splits what it streams, and with characters that every encoding writes in
another way."""
FORMS = (
    SECRET,
    quote(SECRET, safe=""),
    json.dumps(SECRET)[1:-1],
    base64.b64encode(SECRET.encode()).decode()[: len(SECRET) * 8 // 6],  # the rest depends on what follows it
)
PRINTED = """\
import base64, json, os, time, urllib.parse
secret = os.environ["DEPLOY_TOKEN"]
for part in (secret[:9], secret[9:], "\\n"):
    print(part, end="", flush=True)
    time.sleep(0.4)
print(json.dumps({"token": secret}), urllib.parse.quote(secret, safe=""), base64.b64encode(secret.encode()).decode())
"""
UPSTREAM_KEY = "sk-upstream-77ab31e0c5d9"
OPEN_TO_ALL = {"/health", "/livez", "/readyz", "/api/health"}
OPEN_TO_THIS_MACHINE = {"/metrics"}
"""From elsewhere it wants a key: `test_metrics.py`."""
OPEN_BY_ADDRESS = {"/api/v1/webhooks/{job_id}/{token}": 404}
"""Whose address is the key, with what another one is answered."""
Start = Callable[..., ScriptedModel]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A server with a key of the user's own, before a model that demands one."""
    mention = tool("shell", {"command": "sleep 1; echo value: $DEPLOY_TOKEN; env | sort > environment.txt"})
    said = f"it was used: {' '.join(FORMS)} - all of it"
    sends = tool("shell", {"command": f"echo sent: {FORMS[1]} {FORMS[3]}"})
    prints = tool("shell", {"command": f"{sys.executable} print.py"})
    script = {
        "use it": [mention, prints, sends, Reply(said, reasoning=said)],
        "fail": [error(400, f"bad key {UPSTREAM_KEY}")],
    }
    with ScriptedModel(script, api_key=UPSTREAM_KEY) as model:
        access = {"KUBIYA_API_KEY": KEY, "KUBIYA_LLM_BASE_URL": model.url, "KUBIYA_LLM_API_KEY": UPSTREAM_KEY}
        with served(tmp_path_factory.mktemp("served"), **access, KUBIYA_LLM_MODEL="scripted") as machine:
            yield machine


@pytest.fixture(scope="module")
def used(running: Machine) -> Iterator[tuple[Machine, str]]:
    """The machine after a run on a worker that still serves, in which a secret was used; all arguments that were seen.

    The worker is ended before the server is.
    """
    arguments: set[str] = set()
    (running.work / "print.py").write_text(PRINTED)
    with running.spawn("worker", "start", "--queue-id=q") as worker:
        worker.until_said("Ready")
        env = {"DEPLOY_TOKEN": SECRET}
        words = ("exec", "--queue", "q", "--yes", "--secret", "DEPLOY_TOKEN", "use it")
        with running.spawn(*words, env=env) as run:
            until(lambda: arguments.update(seen(running)) or run.process.poll() is not None, "the run ends", 60)
            assert run.process.returncode == 0, run.said()
            assert "it was used: [redacted]" in run.said()
            assert not [value for value in (*FORMS, KEY) if value in run.said()]
        failed = running.run("exec", "--queue", "q", "--yes", "fail")
        assert failed.returncode == 1
        assert "model_error" in failed.stderr
        assert UPSTREAM_KEY not in failed.stdout + failed.stderr
        assert KEY not in worker.said()
        assert not [value for value in FORMS if value in worker.said()]
        yield running, "\n".join(arguments)
        assert worker.end() == 0


def seen(machine: Machine) -> list[str]:
    return [word for words in machine.command_lines() for word in words]


def everything_in(directory: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()


def test_nothing_secret_is_an_argument(used: tuple[Machine, str]) -> None:
    machine, arguments = used
    own = (machine.home / ".kubiya/server/credentials").read_text().strip()
    assert "DEPLOY_TOKEN" in arguments
    assert "start-dev" in arguments
    for value in (KEY, SECRET, UPSTREAM_KEY, own):
        assert value not in arguments


def test_nothing_secret_is_on_the_disk(used: tuple[Machine, str]) -> None:
    """Not in logs, not in Temporal's histories; of keys, only digests are stored. Environments belong to their runs."""
    machine, _ = used
    looked_at: set[str] = set()
    told: set[str] = set()
    for path, content in everything_in(machine.home / ".kubiya"):
        looked_at.add(path.name)
        for value in (KEY, UPSTREAM_KEY):
            assert value.encode() not in content, (path, value)
        if not path.name.startswith("kubiya.db"):
            assert not [value for value in FORMS if value.encode() in content], path
            told.update(path.name for word in (b"it was used: [redacted]",) if word in content)
    assert {"server.log", "temporal.log", "temporal.db", "worker.log", "kubiya.db"} <= looked_at
    assert any(name.startswith("temporal.db") for name in told), "histories can be read, or this shows nothing"


def test_nothing_secret_is_in_the_event_log(used: tuple[Machine, str]) -> None:
    machine, _ = used
    executions = machine.json("execution", "list")
    assert isinstance(executions, list)
    assert len(executions) == 2
    for execution in executions:
        events = machine.run("execution", "logs", execution["id"], "--stream-format", "json").stdout
        assert len(events.splitlines()) > 3
        stored = machine.run("execution", "get", execution["id"], "-o", "json").stdout
        for value in (KEY, *FORMS, UPSTREAM_KEY):
            for text in (value, json.dumps(value)[1:-1]):  # the events are JSON themselves
                assert text not in events
                assert text not in stored
    used_it = machine.run("execution", "logs", executions[1]["id"], "--stream-format", "json").stdout
    assert "value: [redacted]" in used_it
    assert "sent: [redacted] [redacted]" in used_it
    assert '\\"token\\": \\"[redacted]\\"} [redacted] [redacted]' in used_it
    answer = [line["data"] for line in map(json.loads, used_it.splitlines()) if line["event"] == "message"][-1]
    for said in (answer["content"], answer["reasoning"]):
        assert said == "it was used: [redacted] [redacted] [redacted] [redacted] - all of it"


def test_a_tool_sees_only_what_it_was_given(used: tuple[Machine, str]) -> None:
    machine, _ = used
    environment = dict(line.split("=", 1) for line in (machine.work / "environment.txt").read_text().splitlines())
    assert environment["DEPLOY_TOKEN"] == SECRET
    assert "KUBIYA_API_KEY" not in environment
    assert "KUBIYA_LLM_API_KEY" not in environment
    assert KEY not in environment.values()


def test_files_are_the_users_alone(used: tuple[Machine, str]) -> None:
    machine, _ = used
    home = machine.home / ".kubiya"
    within = [path for path in home.rglob("*") if "venv" not in path.relative_to(home).parts[:-1]]
    # A virtual environment holds installed programs and no secret, in a directory that is the user's alone.
    for path in (home, *within):
        with suppress(FileNotFoundError):  # databases have files that come and go
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode & 0o077 == 0, (path, oct(mode))
    assert stat.S_IMODE((home / "server/credentials").stat().st_mode) == 0o600


def test_it_listens_on_this_machine_only(used: tuple[Machine, str]) -> None:
    machine, _ = used
    listening = [
        connection.laddr.ip
        for process in machine.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2  # the control plane and Temporal
    assert all(ipaddress.ip_address(ip).is_loopback for ip in listening), listening


def routes(url: str) -> list[tuple[str, str]]:
    """Every method and path that the server has, with something in place of what it takes."""
    described = httpx.get(f"{url}/api/v1/openapi.json", headers={"Authorization": f"Bearer {KEY}"})
    assert described.status_code == 200, described.text
    paths: dict[str, dict[str, Any]] = described.json()["paths"]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    return [*found, ("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/api/v1/openapi.json")]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer kbw_wrong"}, {"Authorization": "UserKey"}, {"Authorization": f"Basic {KEY}"}],
    ids=["none", "unknown", "empty", "another scheme"],
)
def test_every_route_wants_a_key(used: tuple[Machine, str], headers: dict[str, str]) -> None:
    machine, _ = used
    url = json.loads((machine.home / ".kubiya/server/server.json").read_text())["url"]
    let_in: list[str] = []
    with httpx.Client(base_url=url, headers=headers) as client:
        wanted = routes(url)
        assert len(wanted) > 40
        for method, path in wanted:
            answer = client.request(method, path.replace("{", "").replace("}", ""), json={})
            assert KEY not in answer.text
            if answer.status_code != OPEN_BY_ADDRESS.get(path, 401) and path not in OPEN_TO_ALL | OPEN_TO_THIS_MACHINE:
                let_in.append(f"{method} {path} {answer.status_code}")
        for path in OPEN_TO_ALL:
            assert client.get(path).status_code == 200, path
    assert let_in == []


def test_a_stream_does_not_take_its_key_from_the_address(used: tuple[Machine, str]) -> None:
    """Addresses end up in logs and histories."""
    machine, _ = used
    url = json.loads((machine.home / ".kubiya/server/server.json").read_text())["url"]
    for name in ("key", "api_key", "token", "access_token"):
        assert httpx.get(f"{url}/api/v1/agents", params={name: KEY}).status_code == 401


def test_files_stay_private_whatever_the_umask(machine: Machine) -> None:
    old = os.umask(0)
    try:
        assert machine.run("server", "start").returncode == 0
    finally:
        os.umask(old)
    assert machine.run("server", "stop").returncode == 0
    for path in (machine.home / ".kubiya").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
