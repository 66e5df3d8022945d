"""A worker's life: it starts, drains and leaves when told to, and waits for its control plane or says why not."""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psutil
import pytest

from kubiya_workers.testing import ScriptedModel, tool

from .installation import Installation, age, kill, lines
from .machine import Machine, until

Start = Callable[..., ScriptedModel]

STARTS = 50
AT_ONCE = 2
AUTHENTICATION, NETWORK, CONFIGURATION = 3, 5, 6
SAYS_NO_WITHIN_S = 20


def shell(command: str) -> object:
    return tool("shell", {"command": command})


@pytest.fixture
def served(installation: Installation, model: Start) -> Callable[[object], Installation]:
    def serve(script: object) -> Installation:
        installation.serve(model(script).url)
        return installation

    return serve


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One with which no worker ever starts."""
    installed = Installation(Machine(tmp_path_factory.mktemp("refusing")))
    try:
        installed.start_server()
        yield installed
    finally:
        installed.close()
        installed.machine.kill_everything()


def stop(worker: subprocess.Popen[bytes], number: int = signal.SIGTERM, seconds: float = 45) -> int:
    worker.send_signal(number)
    return worker.wait(seconds)


def live_workers(installation: Installation) -> list[str]:
    return [row["id"] for row in installation.call("GET", "/workers", params={"live": True}).json()]


def tokens(installation: Installation) -> tuple[int, int]:
    """How many tokens workers were given, and how many of them still open a door: no route tells."""
    stored = installation.machine.home / ".kubiya" / "server" / "kubiya.db"
    statement = "SELECT count(*), count(*) FILTER (WHERE revoked_at IS NULL) FROM keys WHERE worker_id IS NOT NULL"
    with closing(sqlite3.connect(f"file:{stored}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchone()


def test_fifty_starts_and_stops(served: Callable[[object], Installation]) -> None:
    """In pairs; one pair by SIGTERM, the next by Ctrl-C, and every fifth while a step runs."""
    installation = served([shell("echo run >> marks.txt; sleep 0.4"), "done"])
    assert installation.server is not None
    installation.queue("q")
    before = {process.pid for process in installation.machine.processes()}
    submitted: list[str] = []
    for pair in range(STARTS // AT_ONCE):
        workers = [installation.launch_worker() for _ in range(AT_ONCE)]
        for worker in workers:
            installation.until_ready(worker)
        if pair % 5 == 0:
            submitted.append(installation.submit("go"))
            until(lambda: len(lines(installation.machine.work / "marks.txt")) == len(submitted), "the step runs")
        number = signal.SIGINT if pair % 2 else signal.SIGTERM
        for worker in workers:
            worker.send_signal(number)
        statuses = [worker.wait(45) for worker in workers]
        assert statuses == [0] * AT_ONCE, [installation.worker_log(worker) for worker in workers]
    assert live_workers(installation) == []
    left = [process for process in installation.machine.processes() if process.pid not in before]
    assert left == []
    assert tokens(installation) == (STARTS, 0)
    _the_rest_is_done(installation, submitted)


def _the_rest_is_done(installation: Installation, submitted: list[str]) -> None:
    """What the fifty left unfinished, another one finishes; no tool ran twice."""
    installation.start_worker()
    assert {installation.ended(execution)["status"] for execution in submitted} == {"completed"}
    assert len(lines(installation.machine.work / "marks.txt")) == len(submitted)


def test_a_workers_token_ends_when_it_leaves(served: Callable[[object], Installation]) -> None:
    installation = served("done")
    handed = installation.call("POST", "/worker-queues/q/start", json={}).json()
    headers = {"Authorization": f"Bearer {handed['worker_token']}"}
    worker = f"/workers/{handed['worker_id']}"
    assert installation.call("POST", f"{worker}/heartbeat", json={}, headers=headers).status_code == 204
    assert installation.call("POST", f"{worker}/disconnect", json={"reason": "x"}, headers=headers).status_code == 204
    assert installation.call("POST", f"{worker}/heartbeat", json={}, headers=headers).status_code == 401


def test_a_short_step_is_finished_before_the_worker_leaves(served: Callable[[object], Installation]) -> None:
    installation = served([shell("echo begun >> marks.txt; sleep 2; echo ended >> marks.txt"), "done"])
    marks = installation.machine.work / "marks.txt"
    worker = installation.start_worker()
    execution = installation.submit("go")
    until(lambda: lines(marks) == ["begun"], "the tool runs")
    assert stop(worker) == 0
    assert lines(marks) == ["begun", "ended"]
    assert live_workers(installation) == []
    installation.start_worker()
    assert installation.ended(execution)["status"] == "completed"
    events = installation.assert_the_log_is_whole(execution)
    assert [e.fields["outcome"] for e in events if e.type == "tool_completed"] == ["success"]
    assert lines(marks) == ["begun", "ended"]


def test_a_long_step_is_given_up_and_the_run_goes_on_elsewhere(served: Callable[[object], Installation]) -> None:
    installation = served([shell("echo begun >> marks.txt; sleep 53"), "I saw it"])
    marks = installation.machine.work / "marks.txt"
    leaving = installation.start_worker()
    execution = installation.submit("go")
    until(lambda: lines(marks) == ["begun"], "the tool runs")
    installation.start_worker()
    assert stop(leaving) == 0, installation.worker_log(leaving)
    assert not _running(installation, "sleep 53")
    ended = installation.ended(execution)
    assert (ended["status"], ended["response"]) == ("completed", "I saw it")
    assert lines(marks) == ["begun"]
    events = installation.assert_the_log_is_whole(execution)
    assert [e.fields["outcome"] for e in events if e.type == "tool_completed"] == ["unknown"]


def test_a_second_signal_means_now(served: Callable[[object], Installation]) -> None:
    installation = served([shell("echo begun >> marks.txt; sleep 54"), "I saw it"])
    worker = installation.start_worker()
    installation.submit("go")
    until(lambda: _running(installation, "sleep 54"), "the tool runs")
    worker.send_signal(signal.SIGTERM)
    until(lambda: "Draining" in installation.worker_log(worker), "the worker drains")
    began = time.monotonic()
    assert stop(worker) == 128 + signal.SIGTERM
    assert age(began) < 5
    until(lambda: not _running(installation, "sleep 54"), "its tool is gone with it")


def _running(installation: Installation, command: str) -> list[psutil.Process]:
    return installation.machine.running(lambda words: words == command.split())


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"KUBIYA_API_KEY": "kbk_wrong"}, AUTHENTICATION, "key"),
        ({"CONTROL_PLANE_URL": "http://127.0.0.1:9"}, NETWORK, "127.0.0.1:9"),
        ({"HEARTBEAT_INTERVAL": "soon"}, CONFIGURATION, "HEARTBEAT_INTERVAL"),
        ({"HEARTBEAT_INTERVAL": "2"}, CONFIGURATION, "HEARTBEAT_INTERVAL"),
        ({"KUBIYA_API_KEY": ""}, CONFIGURATION, "KUBIYA_API_KEY"),
    ],
    ids=["wrong key", "nothing there", "no number", "out of bounds", "no key"],
)
def test_a_worker_that_cannot_start_says_why(
    refusing: Installation, wrong: dict[str, str], status: int, said: str
) -> None:
    worker = refusing.launch_worker(**wrong)
    assert worker.wait(SAYS_NO_WITHIN_S) == status, refusing.worker_log(worker)
    assert said in refusing.worker_log(worker)
    assert "Traceback" not in refusing.worker_log(worker)
    assert refusing.call("GET", "/workers").json() == []


def test_a_worker_outlives_its_control_plane(served: Callable[[object], Installation]) -> None:
    """It stops taking work when its lease is over, and comes back by itself."""
    installation = served("done")
    worker = installation.start_worker()
    assert installation.server is not None
    kill(installation.server)
    until(lambda: "Not taking work" in installation.worker_log(worker), "the worker stops taking work", 60)
    assert worker.poll() is None
    installation.start_server()
    installation.until_ready(worker, times=2)
    assert installation.ended(installation.submit("go"))["status"] == "completed"
    assert stop(worker) == 0
    assert "Traceback" not in installation.worker_log(worker)
