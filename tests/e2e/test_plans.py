"""Plans through the real processes: a model that is asked and not believed, and the run that follows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from kubiya_workers.testing import Reply, ScriptedModel, error

from .installation import Event, events_of
from .machine import Machine, served, until

PROPOSAL = {
    "title": "Look at the disk",
    "summary": "It looks.",
    "agent": "ops",
    "queue": "q",
    "environment": "default",
    "reasoning": "It knows disks.",
    "steps": [{"title": "Run df", "description": "And read it."}],
    "story_points": 1,
    "confidence": "high",
    "complexity_reasoning": "One command.",
    "estimated_input_tokens": 1_000_000,
    "estimated_output_tokens": 0,
    "risks": [],
    "prerequisites": [],
    "success_criteria": ["It is known."],
}
GOOD = json.dumps(PROPOSAL)
SCRIPT: dict[str, Any] = {
    '"task": "look': [Reply(GOOD, reasoning="It is about disks.")],
    '"task": "mend': ["Here is your plan: {oops", f"Sorry!\n```json\n{GOOD}\n```"],
    '"task": "babble': ["no", "still no"],
    '"task": "stranger': [json.dumps({**PROPOSAL, "agent": "root"})] * 2,
    '"task": "wander': [json.dumps({**PROPOSAL, "queue": "gone", "environment": "mars"})],
    '"task": "plain': [(error(400, "response_format is not supported"), GOOD)],
    '"task": "refused': [error(400, "this model has had enough")],
    '"task": "slow': [Reply(GOOD, tokens_per_s=1)],
    "look": ["the disk is fine"],
}


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    with ScriptedModel(SCRIPT, models=("gpt-4o-mini",)) as model:
        yield model


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> Iterator[Machine]:
    """A machine with a server, an agent `ops`, and a worker on queue `q`."""
    with served(tmp_path_factory.mktemp("served"), KUBIYA_LLM_BASE_URL=model.url) as machine:
        new = {"name": "ops", "description": "Keeps disks.", "skill_ids": ["shell"]}
        made = httpx.post(f"{address(machine)}/agents", json=new, headers=key(machine))
        assert made.status_code < 300, made.text
        with machine.spawn("worker", "start", "--queue-id=q") as worker:
            worker.until_said("Ready")
            yield machine
            assert worker.end() == 0


@pytest.fixture(scope="module")
def url(machine: Machine) -> str:
    return address(machine)


def address(machine: Machine) -> str:
    return json.loads((machine.home / ".kubiya/server/server.json").read_text())["url"] + "/api/v1"


def key(machine: Machine, **new: object) -> dict[str, str]:
    """The header of a new key, or, when nothing is said of one, of the user's own."""
    own = {"Authorization": f"Bearer {(machine.home / '.kubiya/server/credentials').read_text().strip()}"}
    if not new:
        return own
    made = httpx.post(f"{address(machine)}/keys", json=new, headers=own)
    assert made.status_code < 300, made.text
    return {"Authorization": f"Bearer {made.json()['key']}"}


def got(machine: Machine, path: str) -> Any:
    return httpx.get(f"{address(machine)}{path}", headers=key(machine)).json()


@contextmanager
def streaming(url: str, prompt: str, headers: dict[str, str]) -> Iterator[Iterator[Event]]:
    body = {"prompt": prompt}
    with httpx.stream("POST", f"{url}/tasks/plan/stream", json=body, headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        yield events_of(answer)


def told(machine: Machine, url: str, prompt: str) -> list[Event]:
    with streaming(url, prompt, key(machine)) as events:
        return list(events)


def test_a_plan_is_told_of_as_it_is_made_and_metered_for_its_key(
    machine: Machine, url: str, model: ScriptedModel
) -> None:
    planner = key(machine, name="planner")
    with streaming(url, "look", planner) as events:
        seen = list(events)
    assert [event.type for event in seen] == ["progress", "step_started", "thinking", "step_completed", "complete"]
    assert seen[2].data["content"] == "It is about disks."
    plan = seen[-1].data["plan"]
    chosen = plan["recommended_execution"]
    queues = got(machine, "/worker-queues")
    assert (chosen["entity_name"], chosen["recommended_worker_queue_id"]) == ("ops", queues[0]["id"])
    assert plan["cost_estimate"]["estimated_cost_usd"] == pytest.approx(0.15), "by the price table"
    assert model.chats[-1].body["response_format"]["json_schema"]["strict"] is True

    def calls() -> list[int]:  # counted when the answer is over, and nobody waits for that
        return [row["calls"] for row in got(machine, "/usage?by=key") if row["name"] == "planner"]

    until(lambda: calls() == [1], "the call is counted for its key")
    whole = httpx.post(f"{url}/tasks/plan", json={"description": "look"}, headers=planner, timeout=30)
    assert whole.json()["plan"]["title"] == plan["title"]


@pytest.mark.parametrize(
    ("prompt", "calls", "said"),
    [
        ("babble", 2, "twice; at last: the answer is not a JSON object"),
        ("stranger", 2, "there is no agent 'root'; choose one of 'default', 'ops'"),
        ("refused", 1, "this model has had enough"),
    ],
)
def test_what_is_no_plan_is_an_error_with_the_next_step(
    prompt: str, calls: int, said: str, machine: Machine, url: str, model: ScriptedModel
) -> None:
    before = len(model.chats)
    last = told(machine, url, prompt)[-1]
    assert last.type == "error" and said in last.data["error"] and "--model" in last.data["fix"]
    assert (last.data["code"], len(model.chats) - before) == ("model_error", calls)


def test_a_broken_answer_is_mended_and_what_a_server_refuses_left_out(
    machine: Machine, url: str, model: ScriptedModel
) -> None:
    mended = told(machine, url, "mend")
    assert [event.data["step"] for event in mended if event.type == "step_completed"] == ["plan", "repair"]
    assert mended[-1].data["plan"]["recommended_execution"]["entity_name"] == "ops"
    plan = told(machine, url, "wander")[-1].data["plan"]
    assert plan["recommended_execution"]["recommended_worker_queue_id"] is None
    assert len(plan["notes"]) == 1 + 1
    plain = told(machine, url, "plain")
    assert plain[-1].type == "complete"
    assert ["response_format" in chat.body for chat in model.chats[-2:]] == [True, False]


@pytest.mark.parametrize("path", ["plan", "plan/stream"])
def test_whoever_leaves_stops_the_model(path: str, machine: Machine, url: str, model: ScriptedModel) -> None:
    before = len(model.chats)
    with (
        httpx.Client(headers=key(machine), timeout=httpx.Timeout(30, read=2)) as client,
        pytest.raises(httpx.ReadTimeout),
        client.stream("POST", f"{url}/tasks/{path}", json={"prompt": "slow"}) as answer,
    ):
        answer.read()
    until(lambda: len(model.chats) > before and model.chats[-1].cut, "the model's server sees that nobody listens")


def test_only_keys_that_may_submit_may_plan(machine: Machine, url: str) -> None:
    for scope in ("read", "worker"):
        headers = key(machine, name=f"only-{scope}", scope=scope)
        for path in ("plan", "plan/stream"):
            answer = httpx.post(f"{url}/tasks/{path}", json={"prompt": "look"}, headers=headers)
            assert answer.status_code == 403, (scope, path, answer.text)
    spent = key(machine, name="spent", max_cost_usd=1e-7, budget_period="day")
    assert httpx.post(f"{url}/tasks/plan", json={"prompt": "look"}, headers=spent, timeout=30).status_code == 200

    def refused() -> bool:
        answer = httpx.post(f"{url}/tasks/plan/stream", json={"prompt": "look"}, headers=spent, timeout=30)
        return answer.status_code == 402 and "budget" in answer.text

    until(refused, "what was spent counts")


def test_a_plan_is_kept_approved_and_run_once_with_its_priority(machine: Machine) -> None:
    failed = machine.run("plan", "create", "refused")
    assert failed.returncode == 1 and "had enough" in failed.stderr and "Fix:" in failed.stderr
    saved: Any = machine.json("plan", "create", "look at it")
    plan_id = saved["plan"]["plan_id"]
    assert machine.run("plan", "approve", plan_id).returncode == 0
    done = machine.run("exec", "--plan-file", plan_id, "--priority", "critical")
    assert (done.returncode, done.stdout) == (0, "the disk is fine\n"), done.stderr
    file = machine.home / ".kubiya/plans" / f"{plan_id}.json"
    kept = json.loads(file.read_text())
    run = got(machine, f"/executions/{kept['execution_id']}")
    assert (run["prompt"], run["entity_name"], run["priority"]) == ("look at it", "ops", 1)
    assert "critical (1)" in machine.run("execution", "get", run["id"]).stdout
    file.write_text(json.dumps({**kept, "executed_at": None, "execution_id": None}))
    lost: Any = machine.json("exec", "--plan-file", plan_id)
    assert lost["id"] == run["id"], "what was not written down is still not done twice"


def test_a_run_is_planned_first_here_and_by_an_agent_that_is_found(machine: Machine) -> None:
    done = machine.run("exec", "--plan", "--local", "--find", "disks", "--yes", "look here")
    assert (done.returncode, done.stdout) == (0, "the disk is fine\n"), done.stderr
    assert "Run df" in done.stderr
    newest = got(machine, "/executions?limit=1")
    assert (newest[0]["entity_name"], newest[0]["prompt"]) == ("ops", "look here")
    file = max((machine.home / ".kubiya/plans").iterdir(), key=lambda path: path.stat().st_mtime)
    assert json.loads(file.read_text())["execution_id"] == newest[0]["id"]


def test_with_the_offline_model_the_plan_is_labelled(machine: Machine, url: str) -> None:
    body = {"prompt": "anything", "model": "kubiya/offline"}
    plan = httpx.post(f"{url}/tasks/plan", json=body, headers=key(machine), timeout=30).json()["plan"]
    assert "offline" in plan["title"] and plan["model"] == "kubiya/offline"
