"""`kubiya exec --queue a,b`: one run on each queue."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from kubiya_workers.contracts.executions import Status

from .conftest import Kubiya
from .fake_api import FakeApi
from .test_exec import NOW, RUN, ends


def knows(api: FakeApi, **queues: str) -> None:
    """Have the control plane know these queues, by name, with their ids."""
    for name, queue_id in queues.items():
        queue = {"id": queue_id, "name": name, "environment_id": "e", "task_queue_name": f"t-{name}"}
        api.answers[f"GET /api/v1/worker-queues/{name}"] = (200, queue | {"created_at": NOW, "updated_at": NOW})


def submits(api: FakeApi) -> list[str]:
    return [asked.body["worker_queue_id"] for asked in api.asked if asked.path.endswith("/execute")]


def test_each_answer_is_beneath_the_name_of_its_queue(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(api)
    knows(api, web="q1", data="q2")
    assert kubiya("exec", "--yes", "--queue", "web,data", "hi") == 0
    assert submits(api) == ["q1", "q2"]
    said = capsys.readouterr()
    answers = {f"==> {name} <==\nthe answer" for name in ("web", "data")}
    assert set(said.out.strip().split("\n\n")) == answers
    for name in ("web", "data"):
        assert f"{name} Waiting for a worker on queue q" in said.err
        assert f"{name} ✓ completed" in said.err


def test_output_json_is_a_list_in_the_order_of_the_queues(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(api)
    knows(api, web="q1", data="q2")
    assert kubiya("exec", "--yes", "--queue", "web,data", "-o", "json", "hi") == 0
    assert [run["execution_id"] for run in json.loads(capsys.readouterr().out)] == [RUN, RUN]


def test_json_lines_say_whose_they_are(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    ends(api)
    knows(api, web="q1", data="q2")
    assert kubiya("exec", "--yes", "--queue", "web,data", "--stream-format", "json", "hi") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["queue"] for line in lines if line["event"] == "done"} == {"web", "data"}
    assert {line["execution_id"] for line in lines} == {RUN}


def test_one_that_fails_makes_the_command_fail(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(api, Status.FAILED, error_message="no luck")
    knows(api, web="q1", data="q2")
    assert kubiya("exec", "--yes", "--queue", "web,data", "--no-stream", "hi") == 1
    said = capsys.readouterr().err
    assert "web: The execution failed: no luck" in said and "data: The execution failed: no luck" in said


@pytest.mark.parametrize(("queues", "status"), [("web,gone", 4), ("web,q1", 2)])
def test_nothing_runs_where_a_queue_is_wrong(queues: str, status: int, api: FakeApi, kubiya: Kubiya) -> None:
    ends(api)
    knows(api, web="q1", q1="q1")
    assert kubiya("exec", "--yes", "--queue", queues, "hi") == status
    assert submits(api) == []


def test_a_refusal_of_one_ends_those_that_were_submitted(
    api: FakeApi, kubiya: Kubiya, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(api)
    knows(api, web="q1", data="q2")
    taken = api.reply

    def reply(method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        answer = taken(method, path, headers, body)
        return (409, {"detail": "its budget is used up", "code": "conflict"}) if submits(api)[1:] else answer

    monkeypatch.setattr(api, "reply", reply)
    assert kubiya("exec", "--yes", "--queue", "web,data", "hi") == 4
    assert [asked.path for asked in api.asked if asked.path.endswith("/cancel")] == [f"/api/v1/executions/{RUN}/cancel"]
