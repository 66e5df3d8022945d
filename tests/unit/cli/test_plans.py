"""Plans on the command line: their files, and what `exec` does with them."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from kubiya_workers.cli.find_agent import chosen
from kubiya_workers.contracts.agents import Agent
from kubiya_workers.contracts.ids import AgentId
from kubiya_workers.contracts.plans import PlanComplete, PlanFailed, PlanProgress, plan_event

from .conftest import Kubiya
from .fake_api import FakeApi
from .test_exec import NOW, ends, submitted_by

AGENT = {"id": "a-ops", "name": "ops", "created_at": NOW, "updated_at": NOW}
PLAN = {
    "plan_id": "p-1",
    "title": "Look\x1b[31m",
    "summary": "Looks.",
    "complexity": {"story_points": 1, "confidence": "high"},
    "recommended_execution": {
        "entity_type": "agent",
        "entity_id": "a-ops",
        "entity_name": "ops",
        "recommended_environment_id": "e-prod",
        "recommended_worker_queue_id": "q-big",
        "reasoning": "It knows.",
    },
    "team_breakdown": [
        {
            "agent_id": "a-ops",
            "agent_name": "ops",
            "tasks": [{"id": 1, "title": "df", "description": "Run df."}],
            "model_info": {"model_id": "m", "estimated_input_tokens": 1, "estimated_output_tokens": 1},
        }
    ],
    "cost_estimate": {"estimated_cost_usd": 0.5, "llm_costs": []},
    "model": "planner",
    "created_at": NOW,
}
SAVED = {"plan": PLAN, "prompt": "look at it", "saved_at": NOW, "approved": False}


def streamed(*events: tuple[str, dict[str, Any]]) -> str:
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)


def plans(api: FakeApi, **changes: Any) -> None:
    """Have the control plane make a plan, and take its run."""
    answer = streamed(
        ("progress", {"message": "Asking planner"}),
        ("tool_call", {"unknown": "here"}),
        ("complete", {"plan": {**PLAN, **changes}}),
    )
    api.answers["POST /api/v1/tasks/plan/stream"] = (200, answer)
    api.answers["GET /api/v1/agents/a-ops"] = (200, AGENT)
    ends(api, agent="a-ops")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "home" / "plans"


@pytest.fixture
def saved(directory: Path) -> Callable[..., Path]:
    """Writes a plan as `plan create` does."""

    def write(**changes: Any) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / "p-1.json"
        path.write_text(json.dumps({**SAVED, **changes}))
        return path

    return write


def idempotency(api: FakeApi) -> list[str | None]:
    return [asked.headers.get("Idempotency-Key") for asked in api.asked if asked.path.endswith("/execute")]


def test_a_plan_is_made_kept_shown_listed_approved_and_deleted(
    api: FakeApi, kubiya: Kubiya, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans(api)
    assert kubiya("plan", "create", "look", "at it", "--agent", "ops", "--model", "m") == 0
    said = capsys.readouterr()
    assert "1. df" in said.out and "Asking planner" in said.err and "\x1b" not in said.out
    asked = next(one.body for one in api.asked if one.path.endswith("/stream"))
    assert asked == {"prompt": "look at it", "agent": "ops", "model": "m"}
    file = directory / "p-1.json"
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(directory.stat().st_mode)) == (0o600, 0o700)
    assert set(json.loads(file.read_text())) == {
        *("plan", "prompt", "saved_at", "approved", "approved_at", "executed_at", "execution_id")
    }
    assert kubiya("plan", "approve", "p-1") == 0
    assert kubiya("plan", "get", "p-1", "-o", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["prompt"], shown["approved"]) == ("look at it", True)
    (directory / "other.json").write_text("{}")
    assert kubiya("plan", "list") == 0
    said = capsys.readouterr()
    assert "approved" in said.out and "other.json is no plan" in said.err
    assert kubiya("plan", "delete", "other", "--yes") == 0
    assert kubiya("plan", "delete", "p-1", "--yes") == 0
    assert kubiya("plan", "get", "p-1") == 2
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("plan_id", ["../../evil", "", "a/b", "x" * 100])
def test_an_id_that_cannot_name_a_file_names_none(
    plan_id: str, api: FakeApi, kubiya: Kubiya, directory: Path, tmp_path: Path
) -> None:
    plans(api, plan_id=plan_id)
    assert kubiya("plan", "create", "look") == 1
    assert kubiya("plan", "get", plan_id) == 2
    assert kubiya("plan", "delete", plan_id, "--yes") == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((200, streamed(("error", {"error": "no plan", "code": "model_error", "status": 502, "fix": "another"}))), 1),
        ((200, streamed(("error", {"error": "too dear", "code": "budget_exhausted", "status": 402}))), 4),
        ((200, streamed(("progress", {"message": "Asking"}))), 5),
        ((200, streamed(("complete", {"plan": {}}))), 5),
        ((200, {"not": "a stream"}), 5),
        ((403, {"detail": "a key with scope read may not do this"}), 3),
        ((422, {"detail": "the prompt is empty"}), 4),
    ],
)
def test_no_plan_is_no_file_and_says_why(
    answer: tuple[int, Any], status: int, api: FakeApi, kubiya: Kubiya, directory: Path
) -> None:
    api.answers["POST /api/v1/tasks/plan/stream"] = answer
    assert kubiya("plan", "create", "look") == status
    assert not directory.exists()


# --- exec


def test_exec_plans_first_and_runs_the_prompt_where_the_plan_says(
    api: FakeApi, kubiya: Kubiya, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans(api)
    assert kubiya("exec", "--plan", "--yes", "look", "at it", "--priority", "high", "--model", "mine") == 0
    assert [asked.body["execution_model"] for asked in api.asked if asked.path.endswith("/plan/stream")] == ["mine"]
    said = capsys.readouterr()
    assert said.out == "the answer\n" and "1. df" in said.err
    sent = submitted_by(api)
    assert (sent["prompt"], sent["worker_queue_id"], sent["environment_id"]) == ("look at it", "q-big", "e-prod")
    assert (sent["priority"], sent["model"]) == (2, "mine")
    kept = json.loads((directory / "p-1.json").read_text())
    assert kept["approved"] and kept["executed_at"] and kept["execution_id"] == "r1"


def test_without_a_plan_nothing_is_planned(api: FakeApi, kubiya: Kubiya, directory: Path) -> None:
    ends(api)
    assert kubiya("exec", "--yes", "look") == 0
    assert not [asked for asked in api.asked if "plan" in asked.path] and not directory.exists()


def test_what_is_named_wins_over_the_plan(api: FakeApi, kubiya: Kubiya, saved: Callable[..., Path]) -> None:
    saved(approved=True)
    ends(api, agent="other")
    api.answers["GET /api/v1/agents/other"] = (200, {**AGENT, "id": "other"})
    assert kubiya("exec", "--plan-file", "p-1", "--agent", "other", "--queue", "mine") == 0
    sent = submitted_by(api)
    assert (sent["worker_queue_id"], sent.get("environment_id")) == ("mine", None)


def test_a_saved_plan_runs_once_and_again_only_when_asked(
    api: FakeApi, kubiya: Kubiya, saved: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    plans(api)
    path = saved()
    assert kubiya("exec", "--plan-file", "p-1") == 2, "nobody agreed to it"
    assert "kubiya plan approve p-1" in capsys.readouterr().err
    assert kubiya("exec", "--plan-file", str(path), "--yes") == 0
    assert submitted_by(api)["prompt"] == "look at it"
    assert json.loads(path.read_text())["approved"]
    assert kubiya("exec", "--plan-file", "p-1", "--yes") == 4
    assert "execution r1" in capsys.readouterr().err
    assert kubiya("exec", "--plan-file", "p-1", "--again") == 0, "it is approved"
    path.write_text(json.dumps({**SAVED, "approved": True}))  # as if it had been killed before it wrote that down
    assert kubiya("exec", "--plan-file", "p-1") == 0
    first, again, lost = idempotency(api)
    assert first == lost != again


def test_an_approval_in_a_file_from_elsewhere_does_not_count(api: FakeApi, kubiya: Kubiya, tmp_path: Path) -> None:
    plans(api)
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps({**SAVED, "plan": {**PLAN, "plan_id": "é\n../x"}, "approved": True}))
    assert kubiya("exec", "--plan-file", str(path)) == 2
    assert kubiya("exec", "--plan-file", str(path), "--yes") == 0
    assert json.loads(path.read_text())["executed_at"]
    assert not (tmp_path / "home" / "plans").exists()


def test_a_plan_whose_agent_is_gone_is_told(
    api: FakeApi, kubiya: Kubiya, saved: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved()
    assert kubiya("exec", "--plan-file", "p-1", "--yes") == 4
    assert "the plan's agent 'ops' is gone" in capsys.readouterr().err
    assert json.loads(path.read_text()) == SAVED


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not json", "not JSON"),
        (b"", "not JSON"),
        (b"[]", "no plan"),
        (b"{}", "plan: field required"),
        (json.dumps({**SAVED, "plan": {"plan_id": "x"}}).encode(), "plan.title"),
        (b"\xff\xfe", "not JSON"),
        (b" " * (8 * 1024 * 1024 + 1), "8 MiB"),
    ],
)
def test_a_file_that_is_no_plan_is_exit_2(
    content: bytes, said: str, api: FakeApi, kubiya: Kubiya, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    assert kubiya("exec", "--plan-file", str(path), "--yes") == 2
    assert said in capsys.readouterr().err
    assert api.asked == []


@pytest.mark.parametrize(
    "words",
    [
        ["--plan-file", "nowhere", "--yes"],
        ["--plan-file", "/", "--yes"],
        ["--plan-file", "p-1", "--yes", "another prompt"],
        ["--plan-file", "p-1", "--plan", "--yes"],
        ["--again", "--yes", "hi"],
        ["--plan", "hi"],
        ["--plan", "--non-interactive", "hi"],
        ["--plan", "--yes", " "],
        ["--find", "x", "--agent", "ops", "--yes", "hi"],
        ["--priority", "urgent", "--yes", "hi"],
        ["--priority", "0", "--yes", "hi"],
        ["--priority", "6", "--yes", "hi"],
        ["--priority", "", "--yes", "hi"],
    ],
)
def test_wrong_usage_asks_for_nothing(
    words: list[str], api: FakeApi, kubiya: Kubiya, saved: Callable[..., Path]
) -> None:
    saved()
    assert kubiya("exec", *words) == 2
    assert api.asked == []


def test_a_plan_for_a_team_runs_the_team(api: FakeApi, kubiya: Kubiya, saved: Callable[..., Path]) -> None:
    chosen_team = {**PLAN["recommended_execution"], "entity_type": "team", "entity_id": "t-1"}  # type: ignore[dict-item]
    saved(plan={**PLAN, "recommended_execution": chosen_team})
    assert kubiya("exec", "--plan-file", "p-1", "--yes") == 4, "it is gone"
    ends(api)
    api.answers["POST /api/v1/teams/t-1/execute"] = api.answers["POST /api/v1/agents/default/execute"]
    api.answers["GET /api/v1/teams/t-1"] = (200, {**AGENT, "id": "t-1"})
    assert kubiya("exec", "--plan-file", "p-1", "--yes") == 0
    assert submitted_by(api)["prompt"] == "look at it"


# --- find


def agent(name: str, description: str = "") -> Agent:
    return Agent.model_validate({**AGENT, "id": AgentId(name), "name": name, "description": description})


AGENTS = [agent("ops", "Keeps servers healthy."), agent("ops-eu", "Keeps servers in Europe."), agent("writer")]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("ops", "ops"), ("OPS", "ops"), ("europe", "ops-eu"), ("w*r", "writer"), ("*healthy.", "ops"), ("rit", "writer")],
)
def test_a_pattern_that_means_one_agent(pattern: str, name: str) -> None:
    assert chosen(AGENTS, pattern).name == name


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("servers", "fits 2 agents: ops, ops-eu"), ("wrter", "Did you mean writer"), ("zzz", "kubiya agent list")],
)
def test_a_pattern_that_means_none_or_several_says_so(pattern: str, said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        chosen(AGENTS, pattern)


def test_exec_runs_the_agent_that_is_found(api: FakeApi, kubiya: Kubiya) -> None:
    api.answers["GET /api/v1/agents"] = (200, [AGENT, {**AGENT, "id": "b", "name": "writer"}])
    ends(api, agent="b")
    assert kubiya("exec", "--find", "writ", "--yes", "hi") == 0
    assert kubiya("exec", "--find", "nobody", "--yes", "hi") == 2


# --- events


def test_events_are_read_as_they_are_written_and_others_skipped() -> None:
    complete = plan_event("complete", {"plan": PLAN})
    assert isinstance(complete, PlanComplete)
    for event in (complete, PlanProgress(message="x"), PlanFailed(error="x", code="c", status=502)):
        assert plan_event(event.type, json.loads(event.model_dump_json())) == event
    assert plan_event("tool_call", {"anything": 1}) is None
