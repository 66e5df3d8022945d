"""Cancelling: the run stops, all that it had started stops, and nothing said later changes that."""

import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from kubiya_workers.testing import Reply, ScriptedModel, stalls, tool

from .installation import Installation, age
from .machine import until

Start = Callable[..., ScriptedModel]
Recorder = Callable[[str, object], None]

STOPS_WITHIN_S = 2.0
ALLOWED_S = 4 * STOPS_WITHIN_S
"""What a busy test machine is given; the measured time is recorded as a property of the test."""


@pytest.fixture
def served(installation: Installation, model: Start) -> Callable[..., ScriptedModel]:
    def serve(*script: Reply | str) -> ScriptedModel:
        scripted = model(list(script))
        installation.serve(scripted.url)
        installation.start_worker()
        return scripted

    return serve


def sleeping(installation: Installation, *words: str) -> list[psutil.Process]:
    """The processes of this machine whose whole command line is one of `words`."""
    wanted = [word.split() for word in words]
    return installation.machine.running(lambda words: words in wanted)


def cancel(installation: Installation, execution: str) -> dict[str, Any]:
    answer = installation.call("POST", f"/executions/{execution}/cancel")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_cancel_ends_the_whole_process_group_of_a_tool(
    installation: Installation, served: Callable[..., ScriptedModel], record_property: Recorder
) -> None:
    served(tool("shell", {"command": "sleep 61 & sleep 62"}), "never said")
    execution = installation.submit("go")
    until(lambda: len(sleeping(installation, "sleep 61", "sleep 62")) == 2, "the tool runs")
    began = time.monotonic()
    cancel(installation, execution)
    until(lambda: not sleeping(installation, "sleep 61", "sleep 62"), "the tool is gone", ALLOWED_S)
    gone = age(began)
    assert installation.ended(execution)["status"] == "cancelled"
    _report(record_property, gone, age(began))
    _assert_it_stays_cancelled(installation, execution)


@pytest.mark.parametrize("manner", ["stalls", "slow"])
def test_cancel_ends_a_model_call(
    installation: Installation, served: Callable[..., ScriptedModel], record_property: Recorder, manner: str
) -> None:
    slow = Reply("one two three four " * 50, tokens_per_s=4)
    scripted = served(stalls("one two three", after=2) if manner == "stalls" else slow)
    execution = installation.submit("go")
    with installation.reading(execution) as events:
        next(event for event in events if event.type == "message_chunk")
    began = time.monotonic()
    cancel(installation, execution)
    until(lambda: scripted.chats[0].cut, "the model was hung up on", ALLOWED_S)
    cut = age(began)
    assert installation.ended(execution)["status"] == "cancelled"
    _report(record_property, cut, age(began))
    _assert_it_stays_cancelled(installation, execution)
    assert len(scripted.chats) == 1


def test_cancel_of_a_run_that_no_worker_took(installation: Installation, model: Start) -> None:
    installation.serve(model("never said").url)
    installation.queue("q")
    execution = installation.submit("go")
    assert cancel(installation, execution)["status"] == "cancelled"
    assert cancel(installation, execution)["status"] == "cancelled"
    worker = installation.start_worker()
    installation.assert_the_log_is_whole(execution)
    assert installation.ended(installation.submit("another"))["status"] == "completed"
    assert execution not in installation.worker_log(worker)
    assert installation.execution(execution)["status"] == "cancelled"


def test_cancel_of_a_run_that_has_completed(installation: Installation, served: Callable[..., ScriptedModel]) -> None:
    served("done")
    execution = installation.submit("go")
    assert installation.ended(execution)["status"] == "completed"
    refused = installation.call("POST", f"/executions/{execution}/cancel")
    assert refused.status_code == 409
    assert "completed" in refused.json()["detail"]
    assert installation.execution(execution)["status"] == "completed"


def test_cancel_of_a_run_that_does_not_exist(installation: Installation, model: Start) -> None:
    installation.serve(model("x").url)
    assert installation.call("POST", "/executions/nobody/cancel").status_code == 404


def _assert_it_stays_cancelled(installation: Installation, execution: str) -> None:
    """Cancelled once more, and spoken of by a worker that is late, it does not change by a letter."""
    before = installation.execution(execution)
    log = installation.assert_the_log_is_whole_but_open_steps(execution)
    assert cancel(installation, execution)["status"] == "cancelled"
    token = installation.call("POST", "/worker-queues/q/start", json={}).json()["worker_token"]
    late = {"role": "assistant", "content": "late", "message_id": "late", "step": 9, "attempt": 1}
    for event_type, data in (("message", late), ("status", {"status": "completed"})):
        refused = installation.call(
            "POST",
            f"/executions/{execution}/events",
            json={"event_type": event_type, "data": data},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert refused.status_code == 409, refused.text
    assert installation.execution(execution) == before
    assert installation.stored(execution) == log
    assert log[-1].fields["status"] == "cancelled"


def _report(record_property: Recorder, stopped: float, ended: float) -> None:
    record_property("stopped_after_s", round(stopped, 3))
    record_property("cancelled_after_s", round(ended, 3))
    assert stopped < ALLOWED_S
