"""Teams on real processes: members side by side, a killed worker, a cancelled run, a member that fails or waits."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from kubiya_workers.testing import Reply, ScriptedModel, error, tool
from kubiya_workers.testing.scripted_replies import Call

from .installation import Installation, kill, lines
from .machine import Machine, until

MEETS = "touch {own}; until [ -e {other} ]; do sleep 0.05; done; echo met"


def delegate(*tasks: tuple[str, str]) -> Reply:
    return Reply(tool_calls=tuple(Call("delegate", {"member": who, "task": task}) for who, task in tasks))


def shell(command: str) -> Reply:
    return tool("shell", {"command": command})


SCRIPT: dict[str, list[Any]] = {
    "meet": [delegate(("left", "go left"), ("right", "go right")), "they met"],
    "go left": [shell(MEETS.format(own="left.here", other="right.here")), "left was there"],
    "go right": [shell(MEETS.format(own="right.here", other="left.here")), "right was there"],
    "survive": [delegate(("left", "hold on")), "it went on"],
    "hold on": [
        shell("echo first >> marks.txt"),
        shell("echo begun >> marks.txt; sleep 53; echo late >> marks.txt"),
        "held",
    ],
    "be stopped": [delegate(("left", "sleep long"), ("right", "sleep longer")), "never said"],
    "sleep long": [shell("sleep 54"), "never said"],
    "sleep longer": [shell("sleep 55"), "never said"],
    "fail a bit": [delegate(("left", "break down")), "one of us failed"],
    "break down": [error(400, "no such model here")],
    "ask first": [delegate(("careful", "do something careful")), "it was allowed"],
    "do something careful": [shell("echo allowed >> careful.txt"), "done with care"],
}


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Two workers and a team of three."""
    machine = Machine(tmp_path_factory.mktemp("crew"))
    installation = Installation(machine)
    try:
        with ScriptedModel(SCRIPT) as model:
            installation.serve(model.url)
            installation.start_worker()
            installation.start_worker()
            guarded = {"name": "asking", "type": "shell", "configuration": {"approval": "always"}}
            assert installation.call("POST", "/skills", json=guarded).status_code == 201
            for name, skill in (("left", "shell"), ("right", "shell"), ("careful", "asking")):
                installation.agent(name, skill_ids=[skill], description=f"The {name} one.")
            team = {"name": "crew", "members": ["left", "right", "careful"]}
            assert installation.call("POST", "/teams", json=team).status_code == 201
            yield installation
    finally:
        installation.close()
        machine.kill_everything()


def submit(crew: Installation, prompt: str) -> str:
    environment = {"working_dir": str(crew.machine.work)}
    body = {"prompt": prompt, "worker_queue_id": "q", "execution_environment": environment}
    answer = crew.call("POST", "/teams/crew/execute", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["execution_id"]


def members(crew: Installation, execution: str) -> dict[str, dict[str, Any]]:
    """The runs of its members, by name."""
    found = crew.call("GET", "/executions", params={"parent_execution_id": execution}).json()
    return {run["entity_name"]: run for run in found}


def ended_members(crew: Installation, execution: str) -> dict[str, dict[str, Any]]:
    """The same, each once it is over: a moment after its team's run at most."""
    return {name: crew.ended(run["id"]) for name, run in members(crew, execution).items()}


def holder(crew: Installation, marker: str) -> subprocess.Popen[bytes]:
    for worker in crew.workers:
        for child in psutil.Process(worker.pid).children(recursive=True) if worker.poll() is None else []:
            with suppress(psutil.Error):
                if any(marker in word for word in child.cmdline()):
                    return worker
    raise AssertionError("no worker runs it")


def sleeping(crew: Installation, *commands: str) -> list[psutil.Process]:
    return crew.machine.running(lambda words: " ".join(words) in commands)


def test_members_side_by_side_as_the_command_shows_them(crew: Installation) -> None:
    """On a worker of the run's own, which ends with the team's run and not with a member's."""
    team = {"name": "pair", "members": ["left", "right"]}
    assert crew.call("POST", "/teams", json=team).status_code == 201
    done = crew.machine.run("exec", "team", "pair", "--local", "--yes", "meet")
    assert (done.returncode, done.stdout) == (0, "they met\n"), done.stderr
    runs = crew.call("GET", "/executions", params={"execution_type": "team"}).json()
    (run,) = [run for run in runs if run["team_name"] == "pair"]
    assert (run["status"], run["entity_name"], run["team_name"]) == ("completed", "pair", "pair")
    parts = ended_members(crew, run["id"])
    assert {name: part["response"] for name, part in parts.items()} == {
        "left": "left was there",
        "right": "right was there",
    }
    for name, part in parts.items():
        assert (part["status"], part["team_name"], part["worker_queue_id"]) == (
            "completed",
            "pair",
            run["worker_queue_id"],
        )
        assert f"{name} ✓ shell" in done.stderr
        assert part["id"] in done.stderr
        crew.assert_the_log_is_whole(part["id"])
    events = crew.assert_the_log_is_whole(run["id"])
    started = {e.fields["tool_input"]["member"]: e.fields for e in events if e.type == "tool_started"}
    assert {name: fields["member_execution_id"] for name, fields in started.items()} == {
        name: part["id"] for name, part in parts.items()
    }
    (of_team,) = [row for row in crew.call("GET", "/usage", params={"by": "team"}).json() if row["name"] == "pair"]
    assert of_team["usage"] == run["usage"], "its members' calls are a part of both, and each is there once"
    own = [
        crew.call("GET", "/usage", params={"by": "execution", "execution_id": one}).json()[0]["usage"]
        for one in (run["id"], *(part["id"] for part in parts.values()))
    ]
    assert sum(one["input_tokens"] for one in own) == run["usage"]["input_tokens"]


def test_a_member_that_fails_is_told_to_the_coordinator(crew: Installation) -> None:
    execution = submit(crew, "fail a bit")
    ended = crew.ended(execution)
    assert (ended["status"], ended["response"]) == ("completed", "one of us failed")
    (part,) = ended_members(crew, execution).values()
    assert (part["status"], part["failure_reason"]) == ("failed", "model_error")
    (told,) = [e.fields for e in crew.assert_the_log_is_whole(execution) if e.type == "tool_completed"]
    assert (told["tool_status"], told["tool_output"]["execution_id"]) == ("failed", part["id"])
    assert "no such model here" in told["content"]


def test_a_member_that_waits_for_a_person_is_named_and_answered(crew: Installation) -> None:
    execution = submit(crew, "ask first")
    until(lambda: members(crew, execution).get("careful", {}).get("status") == "waiting_for_input", "the member asks")
    part = members(crew, execution)["careful"]
    said = f"its member careful (execution {part['id']}): approval of shell by a person"
    until(lambda: crew.execution(execution)["status_reason"] == said, f"the team's run says {said}")
    (asked,) = [e for e in crew.stored(part["id"]) if e.type == "approval_requested"]
    answered = crew.machine.run("execution", "approve", part["id"], asked.fields["approval_id"])
    assert answered.returncode == 0, answered.stderr
    assert crew.ended(execution)["response"] == "it was allowed"
    assert lines(crew.machine.work / "careful.txt") == ["allowed"]


def test_cancel_reaches_the_members(crew: Installation) -> None:
    execution = submit(crew, "be stopped")
    until(lambda: len(sleeping(crew, "sleep 54", "sleep 55")) == 2, "both members' tools run")
    assert crew.call("POST", f"/executions/{execution}/cancel").status_code == 200
    assert crew.ended(execution)["status"] == "cancelled"
    until(lambda: not sleeping(crew, "sleep 54", "sleep 55"), "their tools are gone")
    assert [part["status"] for part in ended_members(crew, execution).values()] == ["cancelled", "cancelled"]


def test_a_worker_killed_while_a_members_once_tool_runs(crew: Installation) -> None:
    marks = crew.machine.work / "marks.txt"
    execution = submit(crew, "survive")
    until(lambda: "begun" in lines(marks), "the slow tool runs")
    kill(holder(crew, "sleep 53"))
    ended = crew.ended(execution)
    assert (ended["status"], ended["response"]) == ("completed", "it went on")
    assert lines(marks) == ["first", "begun"]
    (part,) = ended_members(crew, execution).values()
    assert (part["status"], part["response"]) == ("completed", "held")
    outcomes = [e.fields["outcome"] for e in crew.assert_the_log_is_whole(part["id"]) if e.type == "tool_completed"]
    assert outcomes == ["success", "unknown"]
    crew.assert_the_log_is_whole(execution)
