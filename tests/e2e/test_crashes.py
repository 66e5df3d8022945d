"""kill -9 at the wrong moment: the run goes on, and nothing that finished is done again."""

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest

from kubiya_workers.testing import Reply, ScriptedModel, tool

from .installation import Installation, kill, lines
from .machine import until

Start = Callable[..., ScriptedModel]
GOES_ON_WITHIN_S = 15
"""The design's budget; what a test allows is generous."""


def shell(command: str) -> Reply:
    return tool("shell", {"command": command})


def holder(installation: Installation, marker: str) -> subprocess.Popen[bytes]:
    """The worker whose child has `marker` in its command line."""
    for worker in installation.workers:
        for child in psutil.Process(worker.pid).children(recursive=True):
            with suppress(psutil.Error):
                if any(marker in word for word in child.cmdline()):
                    return worker
    raise AssertionError("no worker runs it")


@pytest.fixture
def two_workers(installation: Installation, model: Start) -> Callable[..., Installation]:
    def start(script: object) -> Installation:
        scripted = model(script)
        installation.environ = {"KUBIYA_LLM_BASE_URL": scripted.url, "KUBIYA_LLM_MODEL": "scripted"}
        installation.start_server()
        installation.start_worker()
        installation.start_worker()
        return installation

    return start


def test_a_worker_killed_while_a_once_tool_runs(two_workers: Callable[..., Installation]) -> None:
    marks = "marks.txt"
    begin = f"echo first >> {marks}"
    slow = f"echo begun >> {marks}; sleep 47; echo ended >> {marks}"
    installation = two_workers([shell(begin), shell(slow), "I saw it"])
    path = installation.machine.work / marks
    execution = installation.submit("go")
    until(lambda: "begun" in lines(path), "the slow tool runs")
    kill(holder(installation, "sleep 47"))
    began = time.monotonic()
    ended = installation.ended(execution)
    assert time.monotonic() - began < 3 * GOES_ON_WITHIN_S
    assert (ended["status"], ended["response"]) == ("completed", "I saw it")
    assert lines(path) == ["first", "begun"]
    events = installation.assert_the_log_is_whole(execution)
    outcomes = [e.fields["outcome"] for e in events if e.type == "tool_completed"]
    assert outcomes == ["success", "unknown"]


def test_a_worker_killed_while_a_retry_safe_tool_runs(two_workers: Callable[..., Installation]) -> None:
    slow = 'echo "$KUBIYA_IDEMPOTENCY_KEY" >> keys.txt; [ "$(wc -l < keys.txt)" -gt 1 ] || sleep 48'
    installation = two_workers([shell(slow), "done"])
    skill = {"name": "safe-shell", "type": "shell", "configuration": {"tool_class": "retry_safe"}}
    assert installation.call("POST", "/skills", json=skill).status_code < 300
    agent = installation.agent(skill_ids=["safe-shell"])
    path = installation.machine.work / "keys.txt"
    execution = installation.submit("go", agent=agent)
    until(lambda: lines(path), "the tool runs")
    kill(holder(installation, "sleep 48"))
    assert installation.ended(execution)["status"] == "completed"
    keys = lines(path)
    assert len(keys) == 2
    assert len(set(keys)) == 1
    events = installation.assert_the_log_is_whole(execution)
    assert [e.attempt for e in events if e.type == "tool_started"] == [1, 2]
    assert [e.attempt for e in events if e.type == "tool_completed"] == [2]


def test_a_worker_killed_while_a_model_call_streams(two_workers: Callable[..., Installation]) -> None:
    words = " ".join(f"word{number}" for number in range(300))
    installation = two_workers([shell("echo once >> marks.txt"), Reply(words, tokens_per_s=60)])
    execution = installation.submit("go")
    with installation.reading(execution) as events:
        chunk = next(event for event in events if event.type == "message_chunk")
        assert chunk.attempt == 1
        worker = installation.workers[0]
        current = [w for w in installation.call("GET", "/workers").json() if w["pid"] == worker.pid]
        assert current
        kill(worker)
        seen = list(events)
    ended = installation.ended(execution)
    assert (ended["status"], ended["response"]) == ("completed", words)
    assert lines(installation.machine.work / "marks.txt") == ["once"]
    installation.assert_the_log_is_whole(execution)
    final = [e for e in seen if e.type == "message" and e.fields["role"] == "assistant" and e.fields["content"]]
    assert [e.fields["content"] for e in final] == [words]
    attempt = final[0].attempt
    chunks = [e for e in seen if e.type == "message_chunk" and e.attempt == attempt]
    if attempt > 1:
        assert "".join(e.fields["content"] for e in chunks) == words


def test_a_worker_killed_between_steps(two_workers: Callable[..., Installation]) -> None:
    rounds = 12
    script = [shell(f"echo {number} >> marks.txt") for number in range(rounds)]
    installation = two_workers([*script, "done"])
    path = installation.machine.work / "marks.txt"
    execution = installation.submit("go")
    until(lambda: len(lines(path)) >= 4, "some steps are done")
    kill(installation.workers[0])
    assert installation.ended(execution, 90)["status"] == "completed"
    events = installation.assert_the_log_is_whole(execution)
    unknown = sum(e.fields["outcome"] == "unknown" for e in events if e.type == "tool_completed")
    assert len(lines(path)) == len(set(lines(path)))
    assert rounds - unknown <= len(lines(path)) <= rounds


@pytest.mark.parametrize("victim", ["control plane", "temporal"])
def test_a_server_killed_and_started_again(two_workers: Callable[..., Installation], victim: str) -> None:
    rounds = 8
    script = [shell(f"echo {number} >> marks.txt; sleep 0.3") for number in range(rounds)]
    installation = two_workers([*script, "done"])
    path = installation.machine.work / "marks.txt"
    execution = installation.submit("go")
    until(lambda: len(lines(path)) >= 3, "some steps are done")
    if victim == "control plane":
        assert installation.server is not None
        kill(installation.server)
        installation.start_server()
    else:
        kill(installation.temporal())  # the control plane starts it again, on its file
    ended = installation.ended(execution, 90)
    assert (ended["status"], ended["response"]) == ("completed", "done")
    assert lines(path) == [str(number) for number in range(rounds)]
    installation.assert_the_log_is_whole(execution)


def test_what_was_submitted_before_a_crash_runs_after_it(installation: Installation, model: Start) -> None:
    scripted = model("done")
    installation.environ = {"KUBIYA_LLM_BASE_URL": scripted.url, "KUBIYA_LLM_MODEL": "scripted"}
    installation.start_server()
    installation.queue("q")
    execution = installation.submit("go")  # no worker: it stays pending
    assert installation.server is not None
    kill(installation.server)
    installation.start_server()
    assert installation.execution(execution)["status"] == "pending"
    installation.start_worker()
    assert installation.ended(execution)["status"] == "completed"
    installation.assert_the_log_is_whole(execution)
