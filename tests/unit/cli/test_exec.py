"""`kubiya exec` against a control plane on loopback: its words, its streams, its exit statuses."""

import json
from typing import Any

import pytest

from kubiya_workers.cli.run_request import Unclear, Who, who_and_prompt
from kubiya_workers.contracts.events import Connected, Delta, Done, Fact, Marker, MessageAdded, StatusChanged, to_wire
from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.ids import ExecutionId

from .conftest import Kubiya
from .fake_api import FakeApi

RUN = ExecutionId("r1")
NOW = "2026-01-01T00:00:00Z"


def stream(*events: Fact | Delta | Marker) -> str:
    lines = [f"id: {n}\nevent: {event.type}\ndata: {json.dumps(to_wire(event))}\n\n" for n, event in enumerate(events)]
    return ": keepalive\n\n" + "".join(lines)


def ends(api: FakeApi, status: Status = Status.COMPLETED, agent: str = "default", **fields: Any) -> None:
    """Have the control plane take one run of `agent` and end it."""
    submitted = {"id": RUN, "execution_id": RUN, "workflow_id": "w", "status": "pending", "message": ""}
    stored = {"id": RUN, "execution_id": RUN, "entity_id": "a", "prompt": "p", "status": status.value}
    stored |= {"created_at": NOW, "updated_at": NOW, **fields}
    api.answers[f"POST /api/v1/agents/{agent}/execute"] = (200, submitted)
    api.answers[f"GET /api/v1/executions/{RUN}"] = (200, stored)
    api.answers[f"GET /api/v1/executions/{RUN}/stream"] = (
        200,
        stream(
            Connected(execution_id=RUN),
            StatusChanged(status=Status.PENDING, reason="a worker on queue q"),
            MessageAdded(step=1, role="assistant", content="the answer", message_id="m"),
            Done(execution_id=RUN, status=status, response="the answer"),
        ),
    )


def submitted_by(api: FakeApi) -> dict[str, Any]:
    return next(asked.body for asked in api.asked if asked.path.endswith("/execute"))


def test_the_answer_is_stdout_and_the_rest_is_talk(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(api)
    assert kubiya("exec", "--yes", "say", "hi") == 0
    said = capsys.readouterr()
    assert said.out == "the answer\n"
    assert "Waiting for a worker on queue q" in said.err and "✓ completed" in said.err
    assert submitted_by(api)["prompt"] == "say hi"


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_a_run_that_does_not_complete_is_exit_1_and_says_why(
    status: Status, api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(api, status, error_message="the model is away", failure_reason="model_error")
    assert kubiya("exec", "--yes", "hi") == 1
    said = capsys.readouterr().err
    assert "the model is away" in said and f"kubiya execution logs {RUN}" in said


def test_json_lines_are_events_and_nothing_else(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    ends(api)
    assert kubiya("exec", "--yes", "--stream-format", "json", "hi") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["connected", "status", "message", "done"]
    assert set(lines[0]) == {"event", "id", "data"}


def test_output_json_is_the_final_execution(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    ends(api, Status.FAILED)
    assert kubiya("exec", "--yes", "-o", "json", "hi") == 1
    assert json.loads(capsys.readouterr().out)["status"] == "failed"


def test_no_stream_prints_the_answer_alone(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    ends(api)
    assert kubiya("exec", "--yes", "--no-stream", "hi") == 0
    assert capsys.readouterr().out == "the answer\n"


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        (["--", "--version", "please"], b"", "--version please"),
        (["-"], b"from a pipe", "from a pipe"),
        ([], b"from a pipe", "from a pipe"),
        (["-"], b"bad \xff utf-8", "bad � utf-8"),
        (["say", "--model", "m", "hi"], b"ignored", "say hi"),
        (["agents are nice"], b"", "agents are nice"),
    ],
)
def test_prompts(words: list[str], stdin: bytes, prompt: str, api: FakeApi, kubiya: Kubiya) -> None:
    ends(api)
    assert kubiya("exec", "--yes", *words, stdin=stdin) == 0
    assert submitted_by(api)["prompt"] == prompt


def test_the_options_become_the_request(api: FakeApi, kubiya: Kubiya, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(api, agent="ops")
    monkeypatch.setenv("TOKEN", "s3cret-value")
    words = ["--queue", "q", "--cwd", "/srv", "--model", "m", "--env", "A=b=c", "--secret", "TOKEN", "--timeout", "60"]
    words += ["--skip-model-validation"]
    assert kubiya("exec", "--yes", *words, "--parent-execution", "r0", "agent", "ops", "do", "it") == 0
    assert submitted_by(api) == {
        "prompt": "do it",
        "worker_queue_id": "q",
        "parent_execution_id": "r0",
        "execution_environment": {
            "working_dir": "/srv",
            "env_vars": {"A": "b=c", "TOKEN": "s3cret-value"},
            "secrets": ["TOKEN"],
        },
        "model": "m",
        "skip_model_validation": True,
        "limits": {"max_wall_s": 60.0},
        "priority": 3,
        "keep_on_failure": False,
    }


def test_an_environment_is_the_control_planes_to_find_a_queue_in(api: FakeApi, kubiya: Kubiya) -> None:
    ends(api)
    assert kubiya("exec", "--yes", "--environment", "prod", "--keep-on-failure", "hi") == 0
    sent = submitted_by(api)
    assert (sent["environment_id"], sent["keep_on_failure"], sent["worker_queue_id"]) == ("prod", True, None)


@pytest.mark.parametrize(
    "words",
    [
        ["--yes"],
        ["--yes", "  "],
        ["--yes", "-"],
        ["hi"],
        ["--non-interactive", "hi"],
        ["--yes", "--local", "--queue", "q", "hi"],
        ["--yes", "--queue", "a", "--queue-name", "b", "hi"],
        ["--yes", "--queue", "a,a", "hi"],
        ["--yes", "--queue", "a,,b", "hi"],
        ["--yes", "--queue", "a,b", "--local", "hi"],
        ["--yes", "--queue", "a,b", "--plan", "hi"],
        ["--yes", "--queue", "a", "--keep-on-failure", "hi"],
        ["--yes", "--cwd", "relative", "hi"],
        ["--yes", "--local", "--cwd", "/nowhere/at/all", "hi"],
        ["--yes", "--env", "A", "hi"],
        ["--yes", "--secret", "NOT_SET_ANYWHERE", "hi"],
        ["--yes", "-o", "json", "--stream-format", "json", "hi"],
        ["--yes", "--agent", "a", "agent", "b", "hi"],
        ["--yes", "agent", "b"],
        ["--yes", "team", "b"],
        ["--yes", "--team", "a", "team", "b", "hi"],
        ["--yes", "--team", "a", "--agent", "a", "hi"],
        ["--yes", "--timeout", "0", "hi"],
        ["--yes", "--bogus", "hi"],
    ],
)
def test_wrong_usage_is_exit_2_and_submits_nothing(words: list[str], api: FakeApi, kubiya: Kubiya) -> None:
    assert kubiya("exec", *words) == 2
    assert api.asked == []


def test_an_unknown_agent_is_exit_4(api: FakeApi, kubiya: Kubiya) -> None:
    assert kubiya("exec", "--yes", "--agent", "nope", "hi") == 4


def test_logs_replay_a_run(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    ends(api)
    assert kubiya("execution", "logs", RUN) == 0
    assert capsys.readouterr().out == "the answer\n"


def test_words_that_say_who_runs_it() -> None:
    assert who_and_prompt(("agent", "ops", "do", "it")) == (Who("agent", "ops"), "do it")
    assert who_and_prompt(("team", "release", "do", "it")) == (Who("team", "release"), "do it")
    assert who_and_prompt(("agent",)) == (None, "agent")
    assert who_and_prompt(("agent ops do it",)) == (None, "agent ops do it")
    for kind in ("agent", "team"):
        with pytest.raises(Unclear, match=f"kubiya exec {kind} ops PROMPT"):
            who_and_prompt((kind, "ops"))
