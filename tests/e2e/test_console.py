"""The web interface as a process: it lives and dies with the workers of its machine, and acts on them for real."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from kubiya_workers.launchers import signin
from kubiya_workers.testing import ScriptedModel

from .gateways import share_litellm, uv_cache
from .machine import KUBIYA, Machine, Spawned, served, until

ON = {"KUBIYA_WEBUI": "true", "KUBIYA_WEBUI_PORT": "0"}
"""On, at a port of the system's choice: tests run beside each other."""
START = ("worker", "start", "--type=local")
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\?token=[\w.-]+")
SAID = re.compile(r"Web interface: (http://127\.0\.0\.1:(\d+)) \(open it with: kubiya ui\)")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with served(tmp_path_factory.mktemp("console"), **ON) as machine:
        yield machine


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose server may be stopped."""
    with served(tmp_path, **ON) as machine:
        yield machine


def consoles(machine: Machine) -> list[psutil.Process]:
    return machine.running(lambda words: "kubiya_workers.console" in words)


def state_of(machine: Machine) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((machine.home / ".kubiya/console/console.json").read_text())
        return found
    return None


def console_on_record(machine: Machine) -> psutil.Process | None:
    """The only web interface, when it is the one on record: looked up once, for it may end between two looks."""
    state, running = state_of(machine), consoles(machine)
    return running[0] if state is not None and [process.pid for process in running] == [state["pid"]] else None


@dataclass
class Browser:
    """One that was let in."""

    http: httpx.Client
    csrf: str

    def get(self, path: str, **query: str | int) -> Any:
        answer = self.http.get(f"/console/api{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, path: str, body: object = None, method: str = "POST") -> httpx.Response:
        return self.http.request(method, f"/console/api{path}", json=body or {}, headers={"X-Kubiya-CSRF": self.csrf})

    def live(self) -> Iterator[dict[str, Any]]:
        """Each snapshot, as it comes."""
        with self.http.stream("GET", "/console/api/live", timeout=30) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def until_live(self, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first snapshot of which it is so; they come by themselves, at least every 15 s."""
        with contextlib.closing(self.live()) as snapshots:
            for _, snapshot in zip(range(60), snapshots, strict=False):
                if condition(snapshot):
                    return snapshot
        raise AssertionError("no snapshot is as it should be")


@contextlib.contextmanager
def let_in(address: str) -> Iterator[Browser]:
    url = httpx.URL(address)
    with httpx.Client(base_url=url.copy_with(path="/", query=None), trust_env=False, timeout=60) as http:
        assert http.get(address).status_code == 303
        yield Browser(http, http.get("/console/api/session").json()["csrf"])


def url_of(worker: Spawned) -> str:
    """What is said where no person reads: nothing that lets a browser in."""
    worker.until_said("(open it with: kubiya ui)")
    found = SAID.search(worker.said())
    assert found is not None and "token" not in worker.said(), worker.said()
    return found[1]


@contextlib.contextmanager
def browser_of(machine: Machine) -> Iterator[Browser]:
    until(lambda: console_on_record(machine), "a web interface runs")
    shown = machine.json("ui", "--no-open")
    assert isinstance(shown, dict) and shown["started"] is False
    with let_in(shown["open"]) as browser:
        yield browser


@contextlib.contextmanager
def daemon(machine: Machine, queue: str, *flags: str) -> Iterator[None]:
    started = machine.run(*START, "-d", f"--queue-id={queue}", *flags)
    assert started.returncode == 0, started.stderr
    try:
        yield
    finally:
        assert machine.run("worker", "stop", f"--queue-id={queue}").returncode == 0


def gone(machine: Machine) -> None:
    until(lambda: not consoles(machine), "the web interface ends with its last worker", 15)
    assert state_of(machine) is None


def test_the_printed_address_lets_in_once_and_is_in_no_log(running: Machine) -> None:
    with running.spawn(*START, "--queue-id=fore") as worker:
        url = url_of(worker)
        worker.until_said("Ready")
        address = running.json("ui", "--no-open")["open"]  # type: ignore[index]
        assert address.startswith(f"{url}/?token=")
        with let_in(address) as browser:
            session = browser.get("/session")
            assert session["scope"] == "pool" and session["home"] == str(running.home / ".kubiya")
            assert httpx.get(address, trust_env=False).status_code == 401
            runs = browser.http.get("/api/v1/executions", params={"limit": 1})
            assert runs.status_code == 200 and runs.headers["x-total-count"].isdigit()
        token = address.partition("token=")[2]
        for file in (running.home / ".kubiya").rglob("*.log*"):
            assert token not in file.read_text(errors="replace"), file
        key = (running.home / ".kubiya/server/credentials").read_text().strip()
        assert key not in (running.home / ".kubiya/console/console.json").read_text()
        mode = (running.home / ".kubiya/console/console.json").stat().st_mode
        assert mode & 0o777 == 0o600
        words = " ".join(word for process in consoles(running) for word in process.cmdline())
        assert key not in words
        assert worker.end() == 0
    gone(running)


def test_a_person_at_a_terminal_is_shown_what_lets_in(running: Machine) -> None:
    ours, theirs = pty.openpty()
    words = [KUBIYA, *START, "--queue-id=terminal"]
    environ = {**running.environ, "TERM": "dumb", "COLUMNS": "500"}
    worker = subprocess.Popen(words, cwd=running.work, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = ""
    try:
        while (found := ADDRESS.search(said)) is None or not said[found.end() :].startswith("\r"):
            ready, _, _ = select.select([ours], [], [], 60)
            assert ready, said
            said += os.read(ours, 65_536).decode()
        with let_in(found[0]) as browser:
            assert browser.get("/session")["scope"] == "pool"
    finally:
        worker.terminate()
        with contextlib.suppress(OSError):  # the terminal ends with its last program
            while os.read(ours, 65_536):
                pass
        os.close(ours)
        worker.wait(45)
    gone(running)


def test_two_workers_have_one_and_it_stays_until_the_last_is_killed(running: Machine) -> None:
    with running.spawn(*START, "--queue-id=one") as one:
        one.until_said("Ready")
        with running.spawn(*START, "--queue-id=two") as two:
            two.until_said("Ready")
            until(lambda: console_on_record(running), "one web interface runs for both")
            with browser_of(running) as browser:
                workers = browser.until_live(lambda seen: len(_here(seen)) == 2)
                assert {worker["key"] for worker in _here(workers)} == {"one", "two"}
            pid = consoles(running)[0].pid
            one.process.kill()
            one.process.wait()
            until(lambda: len(running.workers()) == 1, "the worker of the killed command ends too")
            assert [process.pid for process in consoles(running)] == [pid]
            two.process.kill()
            two.process.wait()
    until(lambda: not consoles(running), "the web interface ends when its last user was killed", 15)
    until(lambda: not running.workers(), "and so do the workers")


def _here(seen: dict[str, Any]) -> list[dict[str, Any]]:
    return [worker for worker in seen["workers"] if worker["record"] and worker["record"]["state"] == "running"]


def test_a_killed_one_is_started_again_by_a_supervisor(running: Machine) -> None:
    with daemon(running, "kept"):
        until(lambda: console_on_record(running), "a web interface runs")
        with browser_of(running) as browser:
            first, said = consoles(running)[0], state_of(running)
            first.send_signal(signal.SIGKILL)
            until(lambda: console_on_record(running) not in (None, first), "another one is started")
            now = state_of(running)
            assert said is not None and now is not None
            assert now["url"] == said["url"] and now["secret"] != said["secret"]
            assert browser.get("/session")["csrf"] != browser.csrf, "it is let in, and told what it needs"
            assert browser.send("/workers/kept/pause").status_code == 403
            stale = httpx.get(f"{now['url']}/", params={"token": signin.make(said["secret"], time.time())})
            assert stale.status_code == 401
    gone(running)
    assert state_of(running) is None, "one that ends by itself lets nobody in later"


def test_a_taken_port_makes_it_the_next(running: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running.spawn(*START, "--queue-id=ported", f"--webui-port={port}") as worker:
            assert httpx.URL(url_of(worker)).port not in (None, port)
            worker.until_said("Ready")
            assert worker.end() == 0
    gone(running)


def test_without_it(running: Machine) -> None:
    with running.spawn(*START, "--queue-id=bare", "--no-webui") as worker:
        worker.until_said("Ready")
        assert consoles(running) == [] and "Web interface" not in worker.said()
        assert worker.end() == 0


def test_a_person_starts_it_without_a_worker(running: Machine) -> None:
    with running.spawn("ui", "--no-open") as shown:
        shown.until_said("token=")
        found = ADDRESS.search(shown.said())
        assert found is not None
        with let_in(found[0]) as browser:
            seen = browser.until_live(lambda seen: seen["connection"]["state"] == "connected")
            assert any("No worker runs" in notice["text"] for notice in seen["notices"])
        assert shown.end(signal.SIGINT) == 130
    gone(running)


def test_workers_are_paused_resumed_restarted_and_drained(running: Machine) -> None:
    with daemon(running, "act"), browser_of(running) as browser:
        paused = browser.send("/workers/act/pause", {"note": "moving"}).json()
        assert paused["listed"]["state"] == "paused" and paused["pause"]["note"] == "moving"
        assert "moving" in running.run("worker", "status", "--queue-id=act").stdout
        assert browser.send("/workers/act/pause").status_code == 409
        resumed = browser.send("/workers/act/resume").json()
        assert resumed["pause"] is None and "pause" in resumed["actions"]
        pid = resumed["listed"]["pid"]
        saved = browser.send("/environment/MAX_CONCURRENT_ACTIVITIES", {"value": "3"}, "PUT").json()
        assert saved["restart_wanted"] == ["act"]
        assert browser.send("/workers/act/restart").status_code == 200

        def is_another(seen: dict[str, Any]) -> bool:
            return any(worker["listed"]["pid"] != pid and worker["report"] for worker in _here(seen))

        again = _here(browser.until_live(is_another))[0]
        assert again["report"]["activities"]["total"] == 3, "a worker that begins heeds what was saved"
        assert again["record"]["crashes_in_a_row"] == 0 and again["record"]["restarts"] == 1
        assert browser.get("/environment")["restart_wanted"] == []
        browser.send("/environment/MAX_CONCURRENT_ACTIVITIES", {"value": None}, "PUT")
        assert browser.send("/workers/nobody/pause").status_code == 404
        assert browser.send("/workers/act/explode").status_code == 422
        assert browser.send("/workers/act/drain").status_code == 200
        until(lambda: running.run("worker", "status", "--queue-id=act").returncode == 1, "it has drained")
    gone(running)


def test_the_control_plane_goes_and_comes_back(own: Machine) -> None:
    with daemon(own, "q"), browser_of(own) as browser:
        seen = browser.until_live(lambda seen: "q" in seen["connection"]["configuration"])
        assert seen["connection"]["state"] == "connected" and len(seen["minutes"]) == 60
        assert seen["connection"]["configuration"]["q"]["queue_name"] == "q" and seen["backlog"] == {"q": 0}
        assert own.run("server", "stop").returncode == 0
        lost = browser.until_live(lambda seen: seen["connection"]["state"] == "lost")
        assert "does not run" in lost["connection"]["samples"][-1]["error"] and lost["connection"]["embedded"]
        assert not any("control plane" in notice["text"] for notice in lost["notices"]), "the connection tells that"
        assert browser.http.get("/api/v1/agents").status_code == 503
        assert own.run("server", "start").returncode == 0
        back = browser.until_live(lambda seen: seen["connection"]["state"] == "connected")
        there = [sample["error"] is None for sample in back["connection"]["samples"]]
        returns = list(pairwise(there[there.index(True) :])).count((False, True))
        assert back["connection"]["reconnects"] == returns >= 1
        assert browser.http.get("/api/v1/agents").status_code == 200


def test_a_run_streams_through_it_and_outlives_the_page(running: Machine) -> None:
    with daemon(running, "runs"), browser_of(running) as browser:
        body = {"prompt": "Run `sleep 2; echo still-here`", "worker_queue_id": "runs"}
        sent = browser.http.post(
            "/api/v1/agents/default/execute", json=body, headers={"X-Kubiya-CSRF": browser.csrf, "Idempotency-Key": "a"}
        )
        assert sent.status_code == 200, sent.text
        run = sent.json()["execution_id"]
        with browser.http.stream("GET", f"/api/v1/executions/{run}/stream") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                if "tool_started" in line:
                    break  # the page is closed in the middle of it
        until(lambda: running.json("execution", "get", run)["status"] == "completed", "the run goes on")  # type: ignore[index]
        with browser.http.stream("GET", f"/api/v1/executions/{run}/stream") as stream:
            assert "still-here" in "".join(stream.iter_lines())
        found = browser.http.get("/api/v1/executions", params={"worker_queue_id": "runs", "text": "STILL-here"})
        assert [row["id"] for row in found.json()] == [run] and found.headers["x-total-count"] == "1"
        assert [row["id"] for row in _list(running, "--queue-id=runs", "--since=10m", "--sort=created_at")] == [run]
        assert _list(running, "--queue-id=runs", "--until=2020-01-01") == []
        minutes = browser.http.get("/api/v1/executions/activity", params={"minutes": 5}).json()
        assert sum(minute["completed"] for minute in minutes) >= 1 and len(minutes) == 5
        for path in ("keys", f"executions/{run}/workspace"):
            assert browser.http.get(f"/api/v1/{path}").status_code == 403


def _list(machine: Machine, *words: str) -> Any:
    return machine.json("execution", "list", *words)


def test_logs_are_followed_across_their_files(running: Machine) -> None:
    with daemon(running, "logged", "--max-log-size=4096", "--max-log-backups=50"), browser_of(running) as browser:
        names = {source["name"] for source in browser.get("/logs")}
        assert {"worker/logged", "server", "temporal", "console"} <= names
        page = browser.get("/logs/lines", source="worker/logged", limit=3)
        assert len(page["lines"]) == 3 and page["after"]
        with browser.http.stream(
            "GET", "/console/api/logs/stream", params={"source": "worker/logged", "after": page["after"]}
        ) as stream:
            for turn in range(3):
                assert browser.send("/workers/logged/pause", {"note": f"{turn} " + "why " * 400}).status_code == 200
                assert browser.send("/workers/logged/resume").status_code == 200
            until(lambda: _files(browser) > 1, "the log is rotated: it is told why in full, twice each time")
            seen = next(json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: "))
            assert seen["lines"][0]["source"] == "worker/logged"
        texts = list[str]()
        cursor = {}
        while True:
            page = browser.get("/logs/lines", source="worker/logged", limit=7, **cursor)
            texts = [line["text"] for line in page["lines"]] + texts
            if page["before"] is None:
                break
            cursor = {"before": page["before"]}
        whole = browser.http.get("/console/api/logs/download", params={"source": "worker/logged"})
        assert "attachment" in whole.headers["content-disposition"]
        assert whole.text.splitlines()[: len(texts)] == texts
        assert browser.http.get("/console/api/logs/lines", params={"source": "../../etc/passwd"}).status_code == 404


def _files(browser: Browser) -> int:
    return next(source["files"] for source in browser.get("/logs") if source["name"] == "worker/logged")


def test_the_doctor_of_the_page_is_that_of_the_command(running: Machine) -> None:
    with daemon(running, "healthy"), browser_of(running) as browser:
        page = {finding["name"]: finding["result"] for finding in browser.get("/doctor")["findings"]}
        command = json.loads(running.run("doctor", "-o", "json").stdout)
        assert page == {finding["name"]: finding["result"] for finding in command}
        assert page["gateway"] == page["web interface"] == page["key"] == "ok"
        report = browser.http.get("/console/api/doctor/report")
        key = (running.home / ".kubiya/server/credentials").read_text().strip()
        assert report.status_code == 200 and key not in report.text and "[ok] gateway" in report.text
        (running.home / ".kubiya/server/credentials").chmod(0o644)
        found = {finding["name"]: finding for finding in browser.get("/doctor")["findings"]}
        assert found["credentials"]["result"] == "warn" and found["credentials"]["fix"]
        mended = browser.send("/doctor/fix/credentials").json()
        assert {finding["name"]: finding["result"] for finding in mended["findings"]}["credentials"] == "ok"


def test_what_waits_in_a_queue_without_a_worker_is_said(running: Machine) -> None:
    with daemon(running, "busy"), browser_of(running) as browser:
        headers = {"X-Kubiya-CSRF": browser.csrf}
        queues = "/api/v1/environments/default/worker-queues"
        assert browser.http.post(queues, json={"name": "lonely"}, headers=headers).status_code < 300
        body = {"prompt": "hello", "worker_queue_id": "lonely"}
        asked = browser.http.post("/api/v1/agents/default/execute", json=body, headers=headers)
        assert asked.status_code == 200, asked.text
        seen = browser.until_live(lambda now: now["backlog"].get("lonely") == 1)
        (said,) = [notice for notice in seen["notices"] if "lonely" in notice["text"]]
        assert said["text"] == "1 execution waits in queue lonely, and no worker polls it."
        assert said["remedy"] == "kubiya worker start --queue-id=lonely --type=local -d"
        cancelled = browser.http.post(f"/api/v1/executions/{asked.json()['id']}/cancel", json={}, headers=headers)
        assert cancelled.status_code < 300, cancelled.text
        browser.until_live(lambda now: "lonely" not in now["backlog"])


def test_the_litellm_of_a_worker_is_shown_restarted_stopped_and_started(tmp_path: Path) -> None:
    key = "sk-in-the-file-81b2"
    share_litellm(tmp_path)
    with served(tmp_path, UV_CACHE_DIR=uv_cache(), **ON) as machine, ScriptedModel({"go on": ["there again"]}) as model:
        params = {"model": "openai/anything", "api_base": model.url, "api_key": key}
        (machine.work / "proxy.json").write_text(
            json.dumps({"model_list": [{"model_name": "m", "litellm_params": params}]})
        )
        flags = ("--enable-local-proxy", "--proxy-config-file=proxy.json")
        started = machine.run(*START, "-d", "--queue-id=own", *flags, timeout=300)
        assert started.returncode == 0, started.stderr
        with browser_of(machine) as browser:
            answer = browser.http.get("/console/api/proxy")
            assert key not in answer.text
            (status,) = answer.json()
            assert status["owner"] == "worker/own" and status["state"] == "running" and status["healthy"]
            assert status["models"][0]["model_name"] == "m" and status["models"][0]["params"]["api_key"] == "***"
            assert status["log"] in {source["name"] for source in browser.get("/logs")}
            assert browser.send("/proxy/worker%2Fown/restart").status_code == 200

            def is_another() -> bool:
                (now,) = browser.get("/proxy")
                return now["state"] == "running" and now["pid"] != status["pid"]

            until(is_another, "its keeper starts it again", 90)
            assert browser.get("/proxy")[0]["restarts"] == 1
            assert browser.send("/proxy/server/restart").status_code == 404
            _stopped_and_started(machine, browser, status["url"])
        assert machine.run("worker", "stop", "--queue-id=own").returncode == 0


def _stopped_and_started(machine: Machine, browser: Browser, url: str) -> None:
    """While it is stopped calls are refused, and its worker takes nothing; what was asked meanwhile is done after."""
    stop, start = "/proxy/worker%2Fown/stop", "/proxy/worker%2Fown/start"
    assert browser.send(start).status_code == 409, "it runs"
    assert browser.send(stop).json()["state"] in ("stopping", "stopped")
    said = browser.until_live(lambda now: any("was stopped by a person" in notice["text"] for notice in now["notices"]))
    assert [notice for notice in said["notices"] if "not ready" in notice["text"]] == []
    until(lambda: browser.get("/proxy")[0]["actions"] == ["start"], "it is stopped", 30)
    refused = httpx.post(f"{url}/v1/chat/completions", json={}, trust_env=False)
    assert refused.status_code == 503 and "kubiya ui" in refused.json()["error"]["message"]
    worker = {"type": "none"}

    def takes_nothing() -> bool:
        report = browser.until_live(lambda now: bool(now["workers"]))["workers"][0]["report"]
        worker.update(report or {})  # none while it does not answer
        return report is not None and not report["taking"]

    until(takes_nothing, "the worker takes no work", 30)
    assert "LiteLLM was stopped by a person" in worker["reason"]
    with machine.spawn("exec", "--queue=own", "--yes", "go on") as run:
        with pytest.raises(subprocess.TimeoutExpired):
            run.process.wait(3)
        assert browser.send(start).status_code == 200
        assert run.process.wait(90) == 0, run.said()
        assert "there again" in run.said()
    (status,) = browser.get("/proxy")
    assert status["state"] == "running"
    (called,) = status["calls"]
    assert called["model"] == "m" and called["calls"] - sum(called["errors"].values()) == 1


def test_it_is_reached_by_another_name_only_when_told(running: Machine) -> None:
    with running.spawn(*START, "--queue-id=named", "--webui-allowed-host=workers.example.com") as worker:
        url = url_of(worker)
        worker.until_said("Ready")
        for host, status in (("workers.example.com", 401), ("evil.example", 403)):
            asked = f"{url}/console/api/session"
            assert httpx.get(asked, headers={"Host": host}, trust_env=False).status_code == status
        assert worker.end() == 0
    refused = running.run(*START, "--queue-id=named", "--webui-allowed-host=*")
    assert refused.returncode == 6 and "no host" in refused.stderr


def test_the_curl_of_a_stranger_is_told_what_to_do(running: Machine) -> None:
    with daemon(running, "strange"):
        until(lambda: console_on_record(running), "a web interface runs")
        state = state_of(running)
        assert state is not None
        said = subprocess.run(
            ["curl", "-s", f"{state['url']}/api/v1/executions"], capture_output=True, text=True, timeout=30, check=True
        )
        assert "kubiya ui" in json.loads(said.stdout)["fix"]
