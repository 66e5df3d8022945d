"""A control plane with Temporal and workers as processes of their own, driven over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.ports import free_port

from .machine import Machine, until


@dataclass(frozen=True)
class Event:
    id: str
    type: str
    data: dict[str, Any]

    @property
    def fields(self) -> dict[str, Any]:
        """The event's own fields, nested or not."""
        return self.data.get("data", self.data)

    @property
    def step(self) -> int:
        return self.data.get("step", 0)

    @property
    def attempt(self) -> int:
        return self.data.get("attempt", 1)


@dataclass
class Installation:
    """`environ` is what the control plane is started with: the address of a scripted model, for one."""

    machine: Machine
    environ: dict[str, str] = field(default_factory=dict[str, str])
    server: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    ports: dict[str, str] = field(default_factory=lambda: ports_of_its_own())
    """While a killed server is down, no server of another test may take its place."""

    # --- processes

    def start_server(self) -> None:
        """Start, or start again, and wait until it answers; a port that it had before it takes again."""
        if self.state_file.exists():
            self.state_file.unlink()
        env = {**self.ports, **self.environ}
        self.server = self._spawn("server", "kubiya_workers.cli.serve", "--mode", "foreground", env=env)
        until(self._is_up, f"the server is up: {self.log('server')}", 40)

    def _is_up(self) -> bool:
        assert self.server is not None
        assert self.server.poll() is None, self.log("server")
        if not self.state_file.exists():
            return False
        with suppress(httpx.HTTPError, ValueError):
            return httpx.get(f"{self.url}/health").status_code == 200
        return False

    def start_worker(self, queue: str = "q", **environ: str) -> subprocess.Popen[bytes]:
        """A worker that polls."""
        process = self.launch_worker(queue, **environ)
        self.until_ready(process)
        return process

    def launch_worker(self, queue: str = "q", **environ: str) -> subprocess.Popen[bytes]:
        """A worker that was just started."""
        access = {"CONTROL_PLANE_URL": self.url, "KUBIYA_API_KEY": self.key, "HEARTBEAT_INTERVAL": "15"}
        name = f"worker-{len(self.workers)}"
        process = self._spawn(name, "kubiya_workers.worker", "--queue-id", queue, env={**access, **environ})
        self.workers.append(process)
        return process

    def until_ready(self, worker: subprocess.Popen[bytes], times: int = 1) -> None:
        """Wait until a worker has said so many times that it polls."""

        def ready() -> bool:
            over = worker.poll() is not None  # asked first: it may have been ready before its end
            found = self.worker_log(worker).count("] Ready") >= times
            assert found or not over, self.worker_log(worker)
            return found

        until(ready, f"a worker polls: {self.worker_log(worker)}", 60)

    def worker_log(self, worker: subprocess.Popen[bytes]) -> str:
        return self.log(f"worker-{self.workers.index(worker)}")

    def serve(self, model: str) -> None:
        """Start the control plane with the scripted model at this address as its upstream."""
        self.environ = {**self.environ, "KUBIYA_LLM_BASE_URL": model, "KUBIYA_LLM_MODEL": "scripted"}
        self.start_server()

    def _spawn(self, name: str, module: str, *words: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
        with (self.machine.root / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *words],
                cwd=self.machine.work,
                env={**self.machine.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def temporal(self) -> psutil.Process:
        found = self.machine.running(lambda words: "start-dev" in words)
        assert len(found) == 1, found
        return found[0]

    def close(self) -> None:
        for process in [*self.workers, *([self.server] if self.server else [])]:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in [*self.workers, *([self.server] if self.server else [])]:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)

    def log(self, name: str) -> str:
        path = self.machine.root / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- the API

    @property
    def state_file(self) -> Path:
        return self.machine.home / ".kubiya" / "server" / "server.json"

    @property
    def url(self) -> str:
        return json.loads(self.state_file.read_text())["url"]

    @property
    def key(self) -> str:
        return (self.machine.home / ".kubiya" / "server" / "credentials").read_text().strip()

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return httpx.request(method, f"{self.url}/api/v1{path}", headers=headers, timeout=30, **options)

    def agent(self, name: str = "tester", **fields: Any) -> str:
        """An agent with the shell and file skills, made; its id."""
        body = {"name": name, "skill_ids": ["shell", "file_system"], **fields}
        answer = self.call("POST", "/agents", json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()["id"]

    def queue(self, name: str, **fields: Any) -> str:
        answer = self.call("POST", "/environments/default/worker-queues", json={"name": name, **fields})
        assert answer.status_code < 300, answer.text
        return answer.json()["id"]

    def submit(self, prompt: str, *, agent: str = "default", queue: str = "q", **fields: Any) -> str:
        environment = {"working_dir": str(self.machine.work)}
        body = {"prompt": prompt, "worker_queue_id": queue, "execution_environment": environment, **fields}
        answer = self.call("POST", f"/agents/{agent}/execute", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["execution_id"]

    def execution(self, execution_id: str) -> dict[str, Any]:
        return self.call("GET", f"/executions/{execution_id}").json()

    def ended(self, execution_id: str, seconds: float = 60) -> dict[str, Any]:
        """The execution, once it is over."""
        over = ("completed", "failed", "cancelled")

        def is_over() -> bool:
            with suppress(httpx.HTTPError, FileNotFoundError, ValueError):
                return self.execution(execution_id).get("status") in over
            return False

        until(
            is_over,
            f"{execution_id} ends; workers said {[self.log(f'worker-{n}')[-3000:] for n in range(len(self.workers))]}",
            seconds,
        )
        return self.execution(execution_id)

    def stored(self, execution_id: str) -> list[Event]:
        """The event log, whole."""
        answer = self.call("GET", f"/executions/{execution_id}/events", params={"limit": 1000})
        return [Event(row["id"], row["event"], row["data"]) for row in answer.json()]

    @contextmanager
    def reading(self, execution_id: str, last_event_id: str | None = None) -> Iterator[Iterator[Event]]:
        """The execution's stream."""
        headers = {"Authorization": f"Bearer {self.key}"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        address = f"{self.url}/api/v1/executions/{execution_id}/stream"
        with httpx.stream("GET", address, headers=headers, timeout=60) as answer:
            yield events_of(answer)

    def assert_the_log_is_whole(self, execution_id: str) -> list[Event]:
        """No fact twice, numbers that only grow, one end, and it is the last; every step was closed once."""
        events = self.assert_the_log_is_whole_but_open_steps(execution_id)
        for step in {e.step for e in events if e.step}:
            closing = [e for e in events if e.step == step and e.type in ("message", "tool_completed")]
            assert len(closing) == 1, (step, [(e.type, e.attempt) for e in events if e.step == step])
        return events

    def assert_the_log_is_whole_but_open_steps(self, execution_id: str) -> list[Event]:
        """The same for a run that was stopped within a step."""
        events = self.stored(execution_id)
        numbers = [int(event.id) for event in events]
        assert numbers == sorted(set(numbers))
        # A step that is still open has its chunks in as many rows as its time took.
        named = [(e.type, e.step, e.attempt) for e in events if e.step and not e.type.endswith("_chunk")]
        assert len(named) == len(set(named)), named
        assert [e.type for e in events].count("done") == 1
        assert events[-1].type == "done"
        return events


def ports_of_its_own() -> dict[str, str]:
    """Where a control plane and its Temporal are found again after a start."""
    found: set[int] = set()
    while len(found) < 2:
        found.add(free_port())
    return dict(zip(("KUBIYA_SERVER_PORT", "KUBIYA_TEMPORAL_PORT"), map(str, found), strict=True))


def events_of(answer: httpx.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            fields = {}


def kill(process: subprocess.Popen[bytes] | psutil.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def age(began: float) -> float:
    return time.monotonic() - began
