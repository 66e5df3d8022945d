"""What model calls used is counted once and shown; a key's budget ends its runs and its calls."""

from pathlib import Path
from typing import Any

import httpx

from kubiya_workers.testing.scripted_model import ScriptedModel
from kubiya_workers.testing.scripted_replies import tool

from .machine import Machine, served

SCRIPT = {
    "go": [tool("shell", {"command": "echo hi"}), "done"],
    "plain": ["done"],
}


def test_usage_and_budgets(tmp_path: Path) -> None:
    with (
        ScriptedModel(SCRIPT, models=("gpt-4o-mini",)) as model,
        served(tmp_path, KUBIYA_LLM_BASE_URL=model.url) as machine,
    ):
        free = machine.run("exec", "--local", "--yes", "go")
        assert free.returncode == 0, free.stderr
        (run,) = listed(machine, "execution", "list")
        spent = run["usage"]["cost_usd"]
        assert spent > 0
        for by in ("agent", "model", "worker", "queue", "key", "day", "execution"):
            (row,) = listed(machine, "usage", "--by", by)
            assert row["calls"] == 2 and row["name"]
            assert abs(row["usage"]["cost_usd"] - spent) < 1e-9
        assert len(listed(machine, "usage", "--execution", run["id"])) == 2, "each step's"
        steps = machine.run("usage", "--by=step")
        assert steps.returncode == 4 and "--execution" in steps.stderr
        assert "gpt-4o-mini" in machine.run("usage", "--by=model").stdout

        key = machine.run("key", "create", "ci", "--max-cost=0.0000001", "--per=day").stdout.strip()
        machine.environ["KUBIYA_API_KEY"] = key
        ended = machine.run("exec", "--local", "--yes", "go")
        assert ended.returncode == 1
        assert "the budget of key 'ci' is used up" in ended.stderr
        newest = listed(machine, "execution", "list")[0]
        assert newest["failure_reason"] == "budget_exhausted"
        assert len(model.chats) == 3, "its second call was never made"

        refused = machine.run("exec", "--local", "--yes", "plain")
        assert refused.returncode == 4
        assert "the budget of key 'ci' is used up" in refused.stderr
        assert len(listed(machine, "execution", "list")) == 2
        answer = call(machine, key)
        assert answer.status_code == 402
        del machine.environ["KUBIYA_API_KEY"]
        (limited,) = [one for one in listed(machine, "key", "list") if one["name"] == "ci"]
        assert limited["spent_usd"] > limited["max_cost_usd"]

        own = machine.run("key", "create", "program").stdout.strip()
        assert call(machine, own).status_code == 200
        by_key = {row["name"]: row["calls"] for row in listed(machine, "usage", "--by=key")}
        assert (by_key["program"], by_key["ci"]) == (1, 1)


def call(machine: Machine, key: str) -> httpx.Response:
    """One made at the gateway itself."""
    status: Any = machine.json("server", "status")
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "plain"}]}
    return httpx.post(
        f"{status['url']}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}, timeout=30
    )


def listed(machine: Machine, *words: str) -> list[dict[str, Any]]:
    found = machine.json(*words)
    assert isinstance(found, list)
    return found
