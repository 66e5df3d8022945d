"""The control plane's gateway with a LiteLLM configuration: called directly where that will do, else through a real
LiteLLM beside it."""

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from kubiya_workers.testing import ScriptedModel, error, tool
from kubiya_workers.testing.scripted_replies import Reply

from .gateways import KEY, SLOW_S, Gateway, configuration, litellm_of, said, server
from .machine import Machine, until
from .test_console import ADDRESS, let_in

CONFIGURATION = 6
TOKENS = 40


def test_compatible_servers_are_called_without_a_litellm(tmp_path: Path) -> None:
    with ScriptedModel("hello") as model, server(tmp_path, configuration(model)) as machine:
        assert litellm_of(machine) == []
        with Gateway(machine) as gateway:
            assert gateway.chat().json()["choices"][0]["message"]["content"] == "hello"
        (request,) = model.chats
        assert request.body["model"] == "gpt-5-mini"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        models: Any = machine.json("model", "list")
        assert [m["id"] for m in models] == ["mine", "kubiya/offline"]
        assert models[0]["pricing"]["input"] > 0 and models[0]["capabilities"]["context_length"] > 100_000

        tested: Any = machine.json("model", "test", "mine")
        assert tested["answer"] == "hello" and tested["cost_usd"] > 0
        assert machine.run("model", "test", "another").returncode == 4
        done = machine.run("exec", "--local", "--yes", "--model=mine", "go")
        assert done.returncode == 0, done.stderr
        (run,) = machine.json("execution", "list")  # type: ignore[misc]
        assert run["usage"]["cost_usd"] > 0
        assert "$" in machine.run("execution", "get", run["id"]).stdout


SCRIPT = {
    "tokens": [Reply(" ".join(f"w{number}" for number in range(TOKENS)), tokens_per_s=40)],
    "without end": [Reply("word " * 400, tokens_per_s=40)],
    "call a tool": [tool("look", {"at": "it"})],
    "too many": [error(429)] * 3,
    "go": ["hello"],
    "run": [tool("shell", {"command": "echo through litellm"}), "it is done"],
}


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Gateway, ScriptedModel]]:
    with ScriptedModel(SCRIPT) as model:
        config = configuration(model, litellm_settings={"num_retries": 0, "drop_params": True})
        with server(tmp_path_factory.mktemp("through"), config) as machine, Gateway(machine) as gateway:
            yield machine, gateway, model


Through = tuple[Machine, Gateway, ScriptedModel]


def test_a_run_through_litellm(through: Through) -> None:
    machine, _, _ = through
    assert len(litellm_of(machine)) == 1
    done = machine.run("exec", "--local", "--yes", "--model=mine", "run", timeout=SLOW_S)
    assert done.returncode == 0, done.stderr
    assert "it is done" in done.stdout


def test_tool_calls_usage_and_errors_pass_through(through: Through) -> None:
    _, gateway, _ = through
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    answer = gateway.chat(messages=[said("call a tool")], tools=tools).json()
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "look" and json.loads(call["function"]["arguments"]) == {"at": "it"}
    assert answer["usage"]["completion_tokens"] > 0
    refused = gateway.chat(messages=[said("too many")])
    assert refused.status_code == 429
    assert KEY not in refused.text
    unknown = gateway.chat(model="another")
    assert unknown.status_code == 404
    embedded = gateway.http.post("/v1/embeddings", json={"model": "mine", "input": "x"})
    assert embedded.status_code == 200 and embedded.json()["data"][0]["embedding"]
    big = gateway.chat(messages=[said("go " + "x" * 1_000_000)])
    assert big.status_code == 200


def test_tokens_come_one_by_one(through: Through) -> None:
    _, gateway, _ = through
    moments = gateway.stream("tokens")
    assert len(moments) >= TOKENS
    # Held back and sent together, they would come within moments of each other.
    assert moments[-1] - moments[0] > 0.5 * TOKENS / 40
    assert len({round(moment, 2) for moment in moments}) > TOKENS / 4


def test_many_streams_at_once(through: Through) -> None:
    _, gateway, _ = through
    with ThreadPoolExecutor(100) as pool:
        streams = list(pool.map(lambda _: len(gateway.stream("tokens")), range(100)))
    assert min(streams) >= TOKENS


def test_a_client_that_leaves_ends_the_upstreams_call(through: Through) -> None:
    _, gateway, model = through
    body = {"model": "mine", "messages": [said("without end")], "stream": True}
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        next(answer.iter_lines())
        request = model.chats[-1]
    until(lambda: request.cut or request.finished, "the upstream's call has ended", 20)
    assert request.cut


def test_a_killed_litellm_is_started_again_and_calls_wait_for_it(through: Through) -> None:
    machine, gateway, _ = through
    (before,) = litellm_of(machine)
    before.send_signal(signal.SIGKILL)
    # Not a zombie either: while one of its threads still ends, its connections are open.
    until(lambda: not psutil.pid_exists(before.pid), "it is gone")
    answered: list[str] = []
    thread = threading.Thread(target=lambda: answered.append(gateway.chat().text))
    thread.start()
    thread.join(SLOW_S)
    assert "hello" in answered[0], answered
    (after,) = litellm_of(machine)
    assert after.pid != before.pid


def test_a_litellm_that_a_person_stops_is_said_by_every_call_and_counted(through: Through) -> None:
    machine, gateway, _ = through
    with machine.spawn("ui", "--no-open", env={"KUBIYA_WEBUI_PORT": "0"}) as shown:
        shown.until_said("token=")
        found = ADDRESS.search(shown.said())
        assert found is not None
        with let_in(found[0]) as browser:
            assert browser.send("/proxy/server/stop").status_code == 200
            until(lambda: browser.get("/proxy")[0]["state"] == "stopped", "it is stopped", 30)
            assert litellm_of(machine) == []
            refused = gateway.chat()
            assert refused.status_code == 503 and "LiteLLM was stopped by a person" in refused.text
            assert refused.headers["retry-after"]
            told = browser.until_live(lambda now: any("stopped by a person" in n["text"] for n in now["notices"]))
            assert any("the control plane answers none" in notice["text"] for notice in told["notices"])
            assert browser.send("/proxy/server/start").status_code == 200
            until(lambda: browser.get("/proxy")[0]["state"] == "running", "it runs again", SLOW_S)
            assert gateway.chat().status_code == 200
            (counted,) = browser.http.get("/api/v1/usage/calls").json()["models"]
            assert counted["upstream"] == "litellm" and counted["errors"]["failed"] >= 1
        assert shown.end(signal.SIGINT) == 130


def test_nothing_of_a_killed_server_is_left(tmp_path: Path) -> None:
    with ScriptedModel("hello") as model:
        config = configuration(model, litellm_settings={})
        with server(tmp_path, config) as machine:
            state: Any = machine.json("server", "status")
            psutil.Process(state["pid"]).kill()
            until(lambda: not litellm_of(machine), "its LiteLLM ends with it", 30)


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "neither YAML nor JSON"), ("{}", "no model_list"), ('{"model_list": [], "x": 1}', "no section 'x'")],
)
def test_a_configuration_that_cannot_be_used_stops_the_start(machine: Machine, text: str, says: str) -> None:
    (machine.work / "models.yaml").write_text(text)
    refused = machine.run("server", "start", "--llm-config", "models.yaml")
    assert refused.returncode == CONFIGURATION
    assert says in refused.stderr and "models.yaml" in refused.stderr
    machine.assert_nothing_left()
