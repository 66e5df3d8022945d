"""Executions over HTTP, on the real processes."""

from collections.abc import Callable

import pytest

from kubiya_workers.testing import Reply, ScriptedModel, error, tool

from .installation import Installation
from .machine import until

Start = Callable[..., ScriptedModel]


@pytest.fixture
def serving(installation: Installation, model: Start) -> Callable[..., Installation]:
    def start(script: object, *, workers: int = 1) -> Installation:
        scripted = model(script)
        installation.environ = {"KUBIYA_LLM_BASE_URL": scripted.url, "KUBIYA_LLM_MODEL": "scripted"}
        installation.start_server()
        installation.queue("q")
        for _ in range(workers):
            installation.start_worker()
        return installation

    return start


def reason(installation: Installation, execution: str) -> str:
    return installation.execution(execution).get("status_reason") or ""


def test_a_run_as_a_conversation_with_labels_of_its_users(serving: Callable[..., Installation]) -> None:
    installation = serving([tool("shell", {"command": "echo hi"}), "done"])
    execution = installation.submit("go", execution_metadata={"ticket": 7, "draft": True})
    installation.ended(execution)
    session = installation.call("GET", f"/executions/{execution}/session").json()
    assert [(m["role"], m["content"]) for m in session["messages"]] == [
        ("user", "go"),
        ("assistant", ""),
        ("assistant", "done"),
    ]
    assert session["messages"][1]["tool_calls"][0]["name"] == "shell"
    change = {"execution_metadata": {"draft": None, "seen": True}}
    patched = installation.call("PATCH", f"/executions/{execution}", json=change).json()
    assert patched["execution_metadata"] == {"ticket": 7, "seen": True}
    assert installation.call("DELETE", f"/executions/{execution}").status_code == 204
    assert installation.call("GET", f"/executions/{execution}").status_code == 404


def test_a_run_says_what_it_waits_for(serving: Callable[..., Installation]) -> None:
    installation = serving([(error(429, retry_after=5), "done")], workers=0)
    execution = installation.submit("go")
    assert "none polls queue q" in reason(installation, execution)
    installation.start_worker()
    until(lambda: "to be tried again at" in reason(installation, execution), "it says that the model is busy")
    assert "429" in reason(installation, execution)
    ended = installation.ended(execution)
    assert (ended["status"], ended["status_reason"]) == ("completed", None)


def test_sent_again_with_the_same_key_a_submit_is_one_run(serving: Callable[..., Installation]) -> None:
    installation = serving(["done"])
    body = {"prompt": "go", "worker_queue_id": "q"}
    again = {"Idempotency-Key": "once-only"}
    first, second = (
        installation.call("POST", "/agents/default/execute", json=body, headers=again).json() for _ in range(2)
    )
    assert first["execution_id"] == second["execution_id"]
    installation.ended(first["execution_id"])
    assert len(installation.call("GET", "/executions").json()) == 1


def test_a_guarded_tool_waits_for_a_person_and_runs_when_they_agree(serving: Callable[..., Installation]) -> None:
    installation = serving([tool("shell", {"command": "echo ran >> marks.txt"}), "done"])
    skill = {"name": "guarded", "type": "shell", "configuration": {"approval": "always"}}
    assert installation.call("POST", "/skills", json=skill).status_code < 300
    agent = installation.agent(skill_ids=["guarded"])
    execution = installation.submit("go", agent=agent)
    until(lambda: installation.execution(execution)["status"] == "waiting_for_input", "it asks")
    assert "approval of shell" in reason(installation, execution)
    marks = installation.machine.work / "marks.txt"
    assert not marks.exists()
    asked = next(e for e in installation.stored(execution) if e.type == "approval_requested")
    answer = installation.call(
        "POST",
        f"/executions/{execution}/approvals/{asked.fields['approval_id']}",
        json={"decision": "approved", "reason": "fine"},
    )
    assert answer.status_code == 200
    assert installation.ended(execution)["status"] == "completed"
    assert marks.read_text() == "ran\n"
    events = installation.assert_the_log_is_whole(execution)
    assert [e.fields["decision"] for e in events if e.type == "approval_resolved"] == ["approved"]


def test_pause_holds_a_run_and_resume_lets_it_go_on(serving: Callable[..., Installation]) -> None:
    installation = serving([Reply(tool("shell", {"command": "true"}).text, delay_s=1.0), "done"])
    execution = installation.submit("go", execution_metadata={"interactive": True})
    installation.call("POST", f"/executions/{execution}/pause")
    until(lambda: installation.execution(execution)["status"] == "paused", "it is paused")
    installation.call("POST", f"/executions/{execution}/resume")
    until(lambda: installation.execution(execution)["status"] == "waiting_for_input", "it answered")
    installation.call("POST", f"/executions/{execution}/message", json={"message": "and now?"})
    until(lambda: len(installation.call("GET", f"/executions/{execution}/session").json()["messages"]) == 4, "2 turns")
    installation.call("POST", f"/executions/{execution}/mark-done")
    assert installation.ended(execution)["status"] == "completed"
    installation.assert_the_log_is_whole(execution)


def test_a_secret_that_the_model_repeats_is_in_no_event(serving: Callable[..., Installation]) -> None:
    secret = "s3cr3t-value-of-mine"
    installation = serving([tool("shell", {"command": f"echo {secret}"}), f"it is {secret}, I think"])
    environment = {"working_dir": str(installation.machine.work), "env_vars": {"TOKEN": secret}, "secrets": ["TOKEN"]}
    execution = installation.submit("go", execution_environment=environment)
    ended = installation.ended(execution)
    assert ended["response"] == "it is [redacted], I think"
    assert secret not in str([event.data for event in installation.stored(execution)])
