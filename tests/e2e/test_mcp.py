"""Tools of MCP servers in real runs: listed once, called once, and no server outlives its reason."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kubiya_workers.testing import ScriptedModel, tool
from tests.processes import alive

from .installation import Event, Installation, kill, lines
from .machine import Machine, until

SERVERS = Path(__file__).parents[1] / "mcp_servers"
TOKEN = "tok-9b1e77c0aa31"
SCRIPT = {
    "use them": [
        tool("notes__tell_secret", {}),
        tool("notes__add_note", {"text": "hello"}),
        tool("first__echo", {"text": "one"}),
        tool("second__echo", {"text": "two"}),
        tool("notes__count", {"text": "not offered"}),
        "done",
    ],
    "go without": ["done"],
    "be cancelled": [tool("notes__wait", {"seconds": 120}), "never said"],
    "be killed": [tool("notes__wait", {"seconds": 120}), tool("notes__add_note", {"text": "after"}), "I saw it"],
}


def program(name: str, *words: str, **config: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [str(SERVERS / f"{name}.py"), *words], **config}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An agent that has servers by a skill and by its environment, and a worker."""
    machine = Machine(tmp_path_factory.mktemp("mcp"))
    with ScriptedModel(SCRIPT) as model:
        installed = Installation(machine)
        try:
            installed.serve(model.url)
            notes = program("notes", env={"NOTES_TOKEN": "${TOKEN}"}, tools=["tell_*", "add_note", "wait"])
            made = installed.call("POST", "/skills", json={"name": "notes", "type": "mcp", "configuration": notes})
            assert made.status_code < 300, made.text
            servers = {"first": program("plain"), "second": program("plain", "nonsense")}
            installed.agent(skill_ids=["notes"], execution_environment={"mcp_servers": servers})
            installed.start_worker()
            yield installed
        finally:
            installed.close()
            machine.kill_everything()


def submit(installation: Installation, prompt: str, directory: str, agent: str = "tester", **servers: Any) -> str:
    """A run in a directory of its own."""
    work = installation.machine.work / directory
    work.mkdir()
    given = {"working_dir": str(work), "env_vars": {"TOKEN": TOKEN}, "mcp_servers": servers}
    return installation.submit(prompt, agent=agent, execution_environment=given)


def servers_of(installation: Installation) -> list[psutil.Process]:
    return installation.machine.running(lambda words: any("mcp_servers" in word for word in words))


def tools(events: list[Event]) -> dict[str, dict[str, Any]]:
    return {e.fields["tool_name"]: e.fields for e in events if e.type == "tool_completed"}


def test_a_run_uses_the_tools_of_its_servers(installation: Installation) -> None:
    execution = submit(installation, "use them", "used")
    ended = installation.ended(execution)
    assert (ended["status"], ended["response"]) == ("completed", "done"), ended
    done = tools(installation.assert_the_log_is_whole(execution))
    assert done["notes__tell_secret"]["content"] == "the token is [redacted]"
    assert lines(installation.machine.work / "used" / "notes.txt") == ["hello"]
    assert done["first__echo"]["content"].startswith("one ") and done["second__echo"]["content"].startswith("two ")
    assert "There is no tool named 'notes__count'" in done["notes__count"]["content"]  # it was not on the list
    said = installation.worker_log(installation.workers[-1])
    assert "MCP server says" in said and "errors know [redacted]" in said and TOKEN not in said
    until(lambda: not servers_of(installation), "the servers end with their run")


def test_a_run_without_a_server_that_it_needs_fails_at_once_and_says_why(installation: Installation) -> None:
    broken = program("plain", "fails", env={"NOTES_TOKEN": "${TOKEN}"})
    ended = installation.ended(submit(installation, "go without", "failed", "default", broken=broken))
    assert (ended["status"], ended["failure_reason"]) == ("failed", "tool_error")
    assert "MCP server 'broken'" in ended["error_message"]
    assert "no database for [redacted]" in ended["error_message"]
    execution = submit(installation, "go without", "degraded", "default", broken={**broken, "optional": True})
    assert installation.ended(execution)["status"] == "completed"
    (degraded,) = [e for e in installation.stored(execution) if e.type == "degraded"]
    assert "goes on without it" in degraded.fields["reason"] and TOKEN not in degraded.fields["reason"]


def test_a_server_that_cannot_be_is_refused_when_it_is_named(installation: Installation) -> None:
    wrong = {"env_vars": {}, "mcp_servers": {"it": program("plain", env={"API_KEY": "as it is"})}}
    for path, body in (
        ("/agents", {"name": "wrong", "execution_environment": wrong}),
        ("/environments", {"name": "wrong", "execution_environment": wrong}),
        ("/agents/tester/execute", {"prompt": "go", "worker_queue_id": "q", "execution_environment": wrong}),
    ):
        answer = installation.call("POST", path, json=body)
        assert answer.status_code == 422, answer.text
        assert "'env.API_KEY' of MCP server 'it'" in answer.text and "as it is'" not in answer.text


def test_cancelling_a_run_ends_its_servers(installation: Installation) -> None:
    execution = submit(installation, "be cancelled", "cancelled")
    notes = installation.machine.work / "cancelled" / "notes.txt"
    until(lambda: lines(notes) == ["begun"], "the tool runs")
    assert installation.call("POST", f"/executions/{execution}/cancel").status_code == 200
    until(lambda: not servers_of(installation), "the servers are gone")
    assert installation.ended(execution)["status"] == "cancelled"
    assert lines(notes) == ["begun", "cancelled"]


def test_a_worker_killed_in_the_middle_of_a_call(installation: Installation) -> None:
    execution = submit(installation, "be killed", "killed")
    notes = installation.machine.work / "killed" / "notes.txt"
    until(lambda: lines(notes) == ["begun"], "the tool runs")
    orphans = servers_of(installation)
    kill(installation.workers[-1])
    until(lambda: not any(map(alive, orphans)), "its servers end with it")
    installation.start_worker()
    ended = installation.ended(execution)
    assert (ended["status"], ended["response"]) == ("completed", "I saw it"), ended
    events = installation.assert_the_log_is_whole(execution)
    assert tools(events)["notes__wait"]["outcome"] == "unknown"
    assert tools(events)["notes__add_note"]["outcome"] == "success"
    assert [line for line in lines(notes) if line != "cancelled"] == ["begun", "after"]  # never begun twice
