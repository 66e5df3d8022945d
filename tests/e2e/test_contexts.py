"""Contexts, by the commands that make them, and what a worker takes from them and from its queue."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubiya_workers.testing import ScriptedModel

from .gateways import share_litellm, uv_cache
from .machine import Machine, served, until

CONFIGURATION = 6
SLOW_S = 300


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = tmp_path_factory.mktemp("contexts")
    share_litellm(root)
    with served(root, UV_CACHE_DIR=uv_cache()) as machine:
        yield machine


def fine(machine: Machine, *words: str, stdin: str | None = None, **env: str) -> str:
    done = machine.run(*words, stdin=stdin, env=env, timeout=SLOW_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def configuration(machine: Machine, model: ScriptedModel, name: str, **params: str) -> Path:
    file = machine.work / f"{name}.json"
    entry = {"model": "openai/anything", "api_base": model.url, "api_key": "os.environ/UPSTREAM_KEY", **params}
    file.write_text(json.dumps({"model_list": [{"model_name": name, "litellm_params": entry}]}))
    return file


def test_a_context_is_a_control_plane_with_its_key(running: Machine) -> None:
    """Made, used from an empty home, shown without its key, and deleted."""
    url = str(json.loads((running.home / ".kubiya/server/server.json").read_text())["url"])
    key = fine(running, "key", "create", "laptop").strip()
    away = {"KUBIYA_HOME": str(running.root / "away")}
    fine(running, "config", "set-context", "acme", "--url", url, "--api-key-stdin", stdin=key, **away)
    file = running.root / "away" / "config"
    assert file.stat().st_mode & 0o777 == 0o600
    fine(running, "agent", "list", **away)
    assert sorted(path.name for path in file.parent.iterdir()) == ["config"], "no control plane of its own was started"

    shown = {row["setting"]: row for row in json.loads(fine(running, "config", "show", "-o", "json", **away))}
    assert shown["CONTROL_PLANE_URL"]["value"] == url and shown["CONTROL_PLANE_URL"]["from"] == "context acme"
    assert shown["KUBIYA_API_KEY"]["value"] == "***"
    listed = fine(running, "config", "get-contexts", **away)
    assert "acme" in listed and key not in listed
    assert fine(running, "config", "current-context", **away).strip() == "acme"

    fine(running, "config", "set-context", "other", "--model", "m", **away)
    fine(running, "config", "use-context", "other", **away)
    unknown = running.run("agent", "list", env={**away, "KUBIYA_CONTEXT": "acne"})
    assert unknown.returncode == CONFIGURATION and "did you mean acme?" in unknown.stderr
    fine(running, "config", "delete-context", "acme", "--yes", **away)
    assert key not in file.read_text()


def test_a_worker_takes_its_litellm_from_its_queue_and_the_context_wins(running: Machine) -> None:
    """The order of the manual; `exec --local` follows the same, and leaves nothing."""
    with ScriptedModel({"": ["the answer"]}) as model:
        of_queue, of_context = configuration(running, model, "queues"), configuration(running, model, "contexts")
        literal = configuration(running, model, "literal", api_key="sk-literal")
        refused = running.run("queue", "create", "q", "--litellm-config", str(literal))
        assert refused.returncode == CONFIGURATION
        assert "model_list[0].litellm_params.api_key would be kept" in refused.stderr
        assert "sk-literal" not in refused.stderr
        fine(running, "queue", "create", "q", "--litellm-config", str(of_queue))

        start = ("worker", "start", "--queue-id=q", "--type=local", "-d")
        of_workers = {"KUBIYA_API_KEY": fine(running, "key", "create", "w", "--scope=worker").strip()}
        state = json.loads((running.home / ".kubiya/server/server.json").read_text())
        unset = running.run(*start, env={**of_workers, "CONTROL_PLANE_URL": state["url"]}, timeout=SLOW_S)
        assert unset.returncode == CONFIGURATION, unset.stderr
        assert "litellm_config of queue q" in unset.stderr and "UPSTREAM_KEY, which is not set" in unset.stderr
        key = {"UPSTREAM_KEY": "sk-1"}
        fine(running, *start, **key)
        until(lambda: running.json("worker", "list"), "the worker is listed")
        assert "the answer" in fine(running, "exec", "--queue", "q", "--yes", "one")
        assert [chat.headers["authorization"] for chat in model.chats] == ["Bearer sk-1"]
        assert "queues" in json.dumps(running.json("usage", "--by", "model"))

        fine(running, "queue", "update", "q", "--no-litellm")
        fine(running, "worker", "restart", "--queue-id=q", **key)
        assert "the answer" not in fine(running, "exec", "--queue", "q", "--yes", "--model=kubiya/offline", "two")
        fine(running, "worker", "stop", "--queue-id=q")
        assert len(model.chats) == 1

        fine(running, "queue", "update", "q", "--litellm-config", str(of_queue))
        words = ("--proxy-config-file", str(of_context), "--proxy-model", "contexts")
        fine(running, "config", "set-context", "mine", *words)
        fine(running, *start, **key)
        assert "the answer" in fine(running, "exec", "--queue", "q", "--yes", "three")
        fine(running, "worker", "stop", "--queue-id=q")
        assert "contexts" in json.dumps(running.json("usage", "--by", "model"))

        before = sorted((running.home / ".kubiya" / "workers").iterdir())
        assert "the answer" in fine(running, "exec", "--local", "--yes", "four", **key)
        assert len(model.chats) == 3
        assert sorted((running.home / ".kubiya" / "workers").iterdir()) == before
        off = fine(running, "exec", "--local", "--yes", "five", KUBIYA_ENABLE_LOCAL_PROXY="false", **key)
        assert "the answer" not in off and len(model.chats) == 3, "the environment wins over the context"
        fine(running, "config", "delete-context", "mine", "--yes")
