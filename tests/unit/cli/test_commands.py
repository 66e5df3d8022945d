"""Commands against a control plane on loopback: what they ask, what they print, how they end."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Kubiya
from .fake_api import KEY, FakeApi

NOW = "2026-01-01T00:00:00Z"
TIMES = {"created_at": NOW, "updated_at": NOW}
AGENT = {"id": "a1", "name": "ops", "skill_ids": ["shell"], "system_prompt": "Be \x1b[31mgood", **TIMES}
SKILL = {"id": "s1", "name": "git-only", "type": "shell", "configuration": {"allow": ["git"]}, **TIMES}
QUEUE = {"id": "q1", "environment_id": "e1", "name": "my-queue", "task_queue_name": "q1", **TIMES}
ENVIRONMENT = {"id": "e1", "name": "prod", "execution_environment": {"env_vars": {"A": "secret?"}}, **TIMES}
WORKER = {"id": "w1", "queue_id": "q1", "queue_name": "my-queue", "environment_id": "e1", "status": "active"}
WORKER |= {"registered_at": NOW, "last_heartbeat": NOW}
RUN = {"id": "r1", "execution_id": "r1", "entity_id": "a1", "prompt": "say\nhi", "status": "running", **TIMES}
MODEL = {"id": "m", "value": "kubiya/offline", "label": "Offline", "provider": "kubiya"}
KEY_ROW = {"id": "k1", "name": "laptop", "scope": "client", "prefix": "kbw_abcd", "created_at": NOW}

TEAM = {"id": "t1", "name": "crew", "members": ["a1"], **TIMES}

LISTS = {
    "agent": ("agents", AGENT, "ops"),
    "team": ("teams", TEAM, "crew"),
    "skill": ("skills", SKILL, "git-only"),
    "queue": ("worker-queues", QUEUE, "my-queue"),
    "environment": ("environments", ENVIRONMENT, "prod"),
    "execution": ("executions", RUN, "say hi"),
    "model": ("models", MODEL, "kubiya/offline"),
    "key": ("keys", KEY_ROW, "laptop"),
}


@pytest.mark.parametrize("group", LISTS)
def test_list_prints_a_table_or_data(
    group: str, api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    path, thing, mark = LISTS[group]
    api.answers[f"GET /api/v1/{path}"] = (200, [thing])
    assert kubiya(group, "list") == 0
    assert mark in capsys.readouterr().out
    assert kubiya(group, "list", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["id"] == thing["id"]
    assert kubiya(group, "list", "-o", "yaml") == 0
    assert yaml.safe_load(capsys.readouterr().out)[0]["id"] == thing["id"]


@pytest.mark.parametrize("group", LISTS)
def test_nothing_is_said_on_stderr_and_is_empty_data(
    group: str, api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers[f"GET /api/v1/{LISTS[group][0]}"] = (200, [])
    assert kubiya(group, "list") == 0
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("No ")
    assert kubiya(group, "list", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize("group", ["agent", "skill", "queue", "environment", "execution", "model"])
def test_get_shows_one_and_makes_it_harmless(
    group: str, api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    path, thing, _ = LISTS[group]
    api.answers[f"GET /api/v1/{path}/x"] = (200, thing)
    assert kubiya(group, "get", "x") == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and "secret?" not in text
    assert kubiya(group, "get", "missing") == 4
    assert capsys.readouterr().err.startswith("Error: no /api/v1/")


def test_agent_create_sends_what_was_given(api: FakeApi, kubiya: Kubiya) -> None:
    api.answers["POST /api/v1/agents"] = (201, AGENT)
    words = ["--name", "ops", "--system-prompt", "Be good", "--model", "m", "--skill", "shell", "--skill", "http"]
    assert kubiya("agent", "create", *words, "--config", '{"limits": {"max_tool_calls": 3}}') == 0
    assert api.asked[-1].body == {
        "name": "ops",
        "system_prompt": "Be good",
        "model_id": "m",
        "skill_ids": ["shell", "http"],
        "configuration": {"limits": {"max_tool_calls": 3}},
    }


OLD = {"old": {"command": "old"}}


def test_agent_update_sends_only_the_change(api: FakeApi, kubiya: Kubiya) -> None:
    api.answers["PATCH /api/v1/agents/ops"] = (200, AGENT)
    assert kubiya("agent", "update", "ops", "--model", "m2") == 0
    assert api.asked[-1].body == {"model_id": "m2"}
    assert kubiya("agent", "update", "ops") == 2


@pytest.mark.parametrize("servers", [{}, {"docs": {"url": "https://mcp.example.com"}}])
def test_other_mcp_servers_leave_the_rest_of_an_agents_environment(
    servers: dict[str, Any], api: FakeApi, kubiya: Kubiya
) -> None:
    around = {"working_dir": "/srv", "env_vars": {"A": "1"}, "secrets": ["A"]}
    api.answers["GET /api/v1/agents/ops"] = (200, {**AGENT, "execution_environment": {**around, "mcp_servers": OLD}})
    api.answers["PATCH /api/v1/agents/ops"] = (200, AGENT)
    assert kubiya("agent", "update", "ops", "--mcp-servers", json.dumps(servers)) == 0
    assert api.asked[-1].body == {"execution_environment": {**around, "mcp_servers": servers}}


@pytest.mark.parametrize(
    "words",
    [
        ["agent", "create"],
        ["agent", "create", "--name", ""],
        ["agent", "create", "--name", "x", "--config", "{"],
        ["agent", "create", "--name", "x", "--config", "[]"],
        ["agent", "create", "--name", "x", "--config", "@/nowhere"],
        ["agent", "create", "--name", "x", "--system-prompt", "a", "--system-prompt-file", "b"],
        ["agent", "delete", "x"],
        ["queue", "create", "../../x"],
        ["queue", "create", "x", "--max-workers", "0"],
        ["worker", "start"],
        ["worker", "start", "--queue-id", "../../x"],
        ["worker", "start", "--queue", "x", "--type", "docker", "--cwd", "."],
        ["worker", "start", "--queue", "x", "--type", "docker", "--pull", "often"],
        ["worker", "start", "--queue", "x", "--image", "mine"],
        ["worker", "start", "--queue", "x", "--cwd", "/nowhere/at/all"],
        ["environment", "create", "x", "--env", "NOVALUE"],
        ["execution", "message", "x", "  "],
        ["execution", "list", "--status", "odd"],
        ["agent", "list", "--limit", "0"],
        ["agent", "list", "-o", "xml"],
        ["nonsense"],
        ["agent"],
    ],
)
def test_wrong_usage_is_exit_2_and_asks_nothing(words: list[str], api: FakeApi, kubiya: Kubiya) -> None:
    assert kubiya(*words) == 2
    assert api.asked == []


def test_a_deletion_is_agreed_to(api: FakeApi, kubiya: Kubiya) -> None:
    for path in ("agents/x", "skills/x", "worker-queues/x", "environments/x"):
        api.answers[f"DELETE /api/v1/{path}"] = (204, None)
    for group in ("agent", "skill", "queue", "environment"):
        assert kubiya(group, "delete", "x", "--yes") == 0
    assert [asked.method for asked in api.asked] == ["DELETE"] * 4


@pytest.mark.parametrize("action", ["cancel", "pause", "resume"])
def test_steering_a_run(action: str, api: FakeApi, kubiya: Kubiya) -> None:
    api.answers[f"POST /api/v1/executions/r1/{action}"] = (200, RUN)
    assert kubiya("execution", action, "r1") == 0
    api.answers[f"POST /api/v1/executions/r1/{action}"] = (409, {"detail": "it is over", "code": "conflict"})
    assert kubiya("execution", action, "r1") == 4


def test_answering_an_approval(api: FakeApi, kubiya: Kubiya) -> None:
    api.answers["POST /api/v1/executions/r1/approvals/ap"] = (200, RUN)
    assert kubiya("execution", "approve", "r1", "ap") == 0
    assert kubiya("execution", "deny", "r1", "ap", "--reason", "no") == 0
    assert [asked.body["decision"] for asked in api.asked] == ["approved", "denied"]


def test_a_new_key_is_all_that_stands_on_stdout(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["POST /api/v1/keys"] = (201, {**KEY_ROW, "key": "kbw_the-key"})
    assert kubiya("key", "create", "laptop", "--scope", "worker") == 0
    assert capsys.readouterr().out == "kbw_the-key\n"
    assert api.asked[-1].body == {"name": "laptop", "scope": "worker"}


def test_a_wrong_key_is_exit_3(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBIYA_API_KEY", "kbw_wrong")
    assert kubiya("agent", "list") == 3
    assert capsys.readouterr().err == "Error: this key is unknown\nFix: make one\n"
    monkeypatch.delenv("KUBIYA_API_KEY")
    assert kubiya("agent", "list") == 3


def test_no_answer_is_exit_5_and_a_bad_address_6(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROL_PLANE_URL", "http://127.0.0.1:1")
    assert kubiya("agent", "list") == 5
    assert "http://127.0.0.1:1: Connection refused" in capsys.readouterr().err
    monkeypatch.setenv("CONTROL_PLANE_URL", "nonsense")
    assert kubiya("agent", "list") == 6
    api.answers["GET /api/v1/agents"] = (503, {"detail": "the database is away", "code": "unavailable"})
    monkeypatch.setenv("CONTROL_PLANE_URL", api.url)
    assert kubiya("agent", "list") == 5


def test_workers_of_the_control_plane_are_listed_when_asked_for(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    api.answers["GET /api/v1/workers"] = (200, [WORKER])
    assert kubiya("worker", "list") == 0
    said = capsys.readouterr()
    assert said.out == "" and "--all" in said.err and not api.asked
    assert kubiya("worker", "list", "--all", "-o", "json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["worker_id"], listed["type"], listed["queue"]) == (WORKER["id"], "remote", "my-queue")


def test_worker_status_is_1_when_none_is_live(api: FakeApi, kubiya: Kubiya) -> None:
    api.answers["GET /api/v1/worker-queues/my-queue/workers"] = (200, [WORKER])
    assert kubiya("worker", "status", "--queue-id", "my-queue") == 0
    api.answers["GET /api/v1/worker-queues/my-queue/workers"] = (200, [{**WORKER, "status": "lost"}])
    assert kubiya("worker", "status", "--queue-id", "my-queue") == 1


def test_config_masks_secrets_and_names_what_is_wrong(
    kubiya: Kubiya, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBIYA_API_KEY", KEY)
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@db/x")
    assert kubiya("config", "show", "-o", "json") == 0
    text = capsys.readouterr().out
    rows = {row["setting"]: row for row in json.loads(text)}
    assert rows["KUBIYA_API_KEY"]["value"] == rows["DATABASE_URL"]["value"] == "***"
    assert KEY not in text and "hunter2" not in text
    monkeypatch.setenv("HEARTBEAT_INTERVAL", "soon")
    assert kubiya("config", "show", "-o", "json") == 6
    row = {row["setting"]: row for row in json.loads(capsys.readouterr().out)}["HEARTBEAT_INTERVAL"]
    assert row["from"] == "invalid" and "15 to 300" in row["value"]


def test_server_status_is_1_when_none_runs(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    assert kubiya("server", "status", "-o", "json") == 1
    assert json.loads(capsys.readouterr().out) == {"running": False}
    assert kubiya("server", "stop") == 0


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_config_shows_a_proxy_without_its_credentials(
    kubiya: Kubiya, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setenv(name, "http://someone:p@ss@proxy:3128")
    assert kubiya("config", "show", "-o", "json") == 0
    shown = capsys.readouterr().out
    (row,) = [row for row in json.loads(shown) if row["setting"] == "HTTPS_PROXY"]
    assert row["value"] == "http://***@proxy:3128"
    assert row["from"] == ("environment" if name.isupper() else f"environment ({name})")
    assert "p@ss" not in shown
    monkeypatch.setenv(name, "http://someone:p@ss@:::")
    assert kubiya("config", "show", "-o", "json") == 6
    shown = capsys.readouterr().out
    assert f"{name}=***" in shown
    assert "p@ss" not in shown


def test_a_queue_says_what_is_wrong_with_its_workers(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = {**WORKER, "status": "lost", "hostname": "box", "disconnect_reason": "3 heartbeats missed"}
    loops = {**WORKER, "status": "crash_looping", "hostname": "pod", "disconnect_reason": "exit status 1"}
    queue = {**QUEUE, "lost_workers": 1, "crash_looping_workers": 1}
    api.answers["GET /api/v1/worker-queues/my-queue"] = (200, queue)
    api.answers["GET /api/v1/worker-queues/q1/workers"] = (200, [gone, loops, WORKER])
    assert kubiya("queue", "get", "my-queue") == 0
    shown = capsys.readouterr().out
    assert "1 lost, 1 crash-looping" in shown
    assert "ago: 3 heartbeats missed" in shown
    assert "pod: exit status 1" in shown


PLAIN = str(Path(__file__).parents[2] / "mcp_servers/plain.py")


def test_skill_tools_shows_what_a_skill_offers(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a skill that is kept, and of a server that is yet to become one, which is started for it."""
    api.answers["GET /api/v1/skills/git-only"] = (200, SKILL)
    assert kubiya("skill", "tools", "git-only") == 0
    assert "shell  once   never" in capsys.readouterr().out
    config = {"command": sys.executable, "args": [PLAIN], "tool_classes": {"echo": "pure"}}
    assert kubiya("skill", "tools", "--type", "mcp", "--config", json.dumps(config), "-o", "json") == 0
    (spec,) = json.loads(capsys.readouterr().out)
    assert (spec["name"], spec["tool_class"]) == ("new__echo", "pure")


def test_skill_tools_says_what_is_wrong_with_a_server_and_no_secret(
    api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.dumps({"command": sys.executable, "args": [PLAIN, "fails"], "env": {"NOTES_TOKEN": "${T}"}})
    assert kubiya("skill", "tools", "--type", "mcp", "--config", config, "--env", "T=abcdefgh") == 1
    assert "no database for [redacted]" in capsys.readouterr().err
    assert kubiya("skill", "tools", "--type", "mcp") == 2
    assert kubiya("skill", "tools", "--type", "mcp", "--config", '{"url": "x"}') == 4


@pytest.mark.parametrize("file", [{"mcpServers": {"it": {"command": "x"}}}, {"it": {"command": "x"}}])
def test_an_agent_takes_the_servers_of_other_programs_files(
    file: dict[str, object], api: FakeApi, kubiya: Kubiya, tmp_path: Path
) -> None:
    api.answers["POST /api/v1/agents"] = (201, AGENT)
    (tmp_path / "mcp.json").write_text(json.dumps(file))
    assert kubiya("agent", "create", "--name", "ops", "--mcp-servers", f"@{tmp_path / 'mcp.json'}") == 0
    assert api.asked[-1].body["execution_environment"] == {"mcp_servers": {"it": {"command": "x"}}}


def test_a_team_is_made_shown_and_changed(api: FakeApi, kubiya: Kubiya, capsys: pytest.CaptureFixture[str]) -> None:
    api.answers["POST /api/v1/teams"] = (201, TEAM)
    api.answers["PATCH /api/v1/teams/crew"] = (200, TEAM)
    api.answers["GET /api/v1/agents"] = (200, [AGENT])
    assert kubiya("team", "create", "--name=crew", "--member=ops", "--member", "a2", "--model=m") == 0
    assert "Members:  ops" in capsys.readouterr().out, "by their names"
    made = next(asked.body for asked in api.asked if asked.method == "POST")
    assert (made["name"], made["members"], made["model_id"]) == ("crew", ["ops", "a2"], "m")
    assert kubiya("team", "update", "crew", "--member=ops", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["members"] == ["a1"]
    assert next(asked.body for asked in api.asked if asked.method == "PATCH") == {"members": ["ops"]}
    assert kubiya("team", "update", "crew") == 2
    assert kubiya("team", "create", "--name=crew") == 2
