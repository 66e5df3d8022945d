"""What passes through a real LiteLLM unharmed, what its configuration adds, and how its upstream's trouble is told."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from kubiya_workers.testing import ScriptedModel, closes, error, garbles, stalls
from kubiya_workers.testing.scripted_replies import Reply
from tests.collector import Collector, attributes, collecting

from .gateways import KEY, SLOW_S, Gateway, configuration, said, server
from .machine import Machine, until

LANGFUSE_KEY = "sk-lf-of-the-user"
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
SCRIPT = {
    "go": ["hello"],
    "in json": [Reply('{"answer": 42}')],
    "what is this": ["a pixel"],
    "think": [
        Reply(
            "done",
            reasoning="step by step",
            usage={
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "total_tokens": 120,
                "prompt_tokens_details": {"cached_tokens": 60},
                "completion_tokens_details": {"reasoning_tokens": 15},
            },
        )
    ],
    "later": [error(429, "come back", retry_after=7)],
    "overloaded": [error(503, "overloaded", retry_after=9)],
    "broken": [error(500, "it broke")],
    "stall": [stalls("one two three")],
    "close": [closes("one two three four")],
    "garble": [garbles("one two three four")],
    "run whole": [(closes("one two three four"), garbles("one two three four"), "the whole answer")],
    "run later": [(error(429, "come back", retry_after=1), "after the pause")],
}
Parts = tuple[Machine, Gateway, ScriptedModel, Collector]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    with ScriptedModel(SCRIPT) as model, ScriptedModel(error(500, "always down")) as down, collecting() as collector:
        config = configuration(
            model,
            litellm_settings={"num_retries": 0, "callbacks": ["otel", "langfuse"], "fallbacks": [{"falls": ["mine"]}]},
            environment_variables={
                "OTEL_EXPORTER": "otlp_http",
                "OTEL_ENDPOINT": f"{collector.url}/v1/traces",
                "LANGFUSE_HOST": collector.url,
                "LANGFUSE_PUBLIC_KEY": "pk-lf",
                "LANGFUSE_SECRET_KEY": LANGFUSE_KEY,
            },
        )
        params = config["model_list"][0]["litellm_params"]
        config["model_list"] += [
            {"model_name": "falls", "litellm_params": {**params, "api_base": down.url}},
            {"model_name": "hurried", "litellm_params": {**params, "timeout": 1, "stream_timeout": 1}},
        ]
        root = tmp_path_factory.mktemp("passes")
        with server(root, config) as machine, Gateway(machine) as gateway:
            yield machine, gateway, model, collector


def events(gateway: Gateway, prompt: str, **fields: object) -> list[Any]:
    """The stream's events, the last one as text where it is no JSON."""
    body = {"model": "mine", "messages": [said(prompt)], "stream": True, **fields}
    found: list[Any] = []
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                found.append(json.loads(line[6:]))
            elif line:
                found.append(line)
    return found


def deltas(found: list[Any], part: str) -> str:
    chunks = [event for event in found if isinstance(event, dict) and event.get("choices")]
    return "".join(chunk["choices"][0]["delta"].get(part) or "" for chunk in chunks)


def test_json_mode_images_and_parameters_arrive(parts: Parts) -> None:
    _, gateway, model, _ = parts
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    answer = gateway.chat(messages=[said("in json")], response_format=schema, temperature=1, seed=7).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"answer": 42}
    asked = model.chats[-1].body
    assert asked["response_format"] == schema and asked["temperature"] == 1 and asked["seed"] == 7

    seen = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    answer = gateway.chat(messages=[{"role": "user", "content": seen}]).json()
    assert answer["choices"][0]["message"]["content"] == "a pixel"
    (image,) = [part for part in model.chats[-1].body["messages"][0]["content"] if part["type"] == "image_url"]
    assert image["image_url"]["url"] == PIXEL


def test_reasoning_and_usage_come_whole_and_streamed(parts: Parts) -> None:
    _, gateway, _, _ = parts
    answer = gateway.chat(messages=[said("think")]).json()
    assert answer["choices"][0]["message"]["reasoning_content"] == "step by step"
    streamed = events(gateway, "think", stream_options={"include_usage": True})
    assert deltas(streamed, "reasoning_content") == "step by step" and deltas(streamed, "content") == "done"
    usages = [event["usage"] for event in streamed if isinstance(event, dict) and event.get("usage")]
    for usage in (answer["usage"], usages[-1]):
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == (100, 20)
        assert usage["prompt_tokens_details"]["cached_tokens"] == 60
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 15


def test_cached_and_reasoning_tokens_of_a_run_are_counted_as_such(parts: Parts) -> None:
    machine, _, _, _ = parts
    done = machine.run("exec", "--local", "--yes", "--model=mine", "-o", "json", "think", timeout=SLOW_S)
    assert done.returncode == 0, done.stderr
    usage = json.loads(done.stdout)["usage"]
    assert (usage["input_tokens"], usage["cached_tokens"]) == (100, 60)
    assert (usage["output_tokens"], usage["reasoning_tokens"]) == (20, 15)
    assert usage["cost_usd"] > 0


@pytest.mark.parametrize(("prompt", "status", "after"), [("later", 429, "7"), ("overloaded", 503, "9")])
def test_an_upstream_that_wants_a_pause_is_told_with_its_time(
    parts: Parts, prompt: str, status: int, after: str
) -> None:
    _, gateway, _, _ = parts
    refused = gateway.chat(messages=[said(prompt)])
    assert refused.status_code == status, refused.text
    assert refused.headers["retry-after"] == after
    assert KEY not in refused.text


def test_a_run_waits_as_long_as_it_is_told(parts: Parts) -> None:
    machine, _, model, _ = parts
    before = len(model.chats)
    done = machine.run("exec", "--local", "--yes", "--model=mine", "run later", timeout=SLOW_S)
    assert done.returncode == 0, done.stderr
    assert "after the pause" in done.stdout and len(model.chats) == before + 2


@pytest.mark.parametrize("prompt", ["broken", "close", "garble"])
def test_an_upstream_that_fails_is_told_as_such(parts: Parts, prompt: str) -> None:
    _, gateway, _, _ = parts
    failed = gateway.chat(messages=[said(prompt)])
    assert failed.status_code >= 500, failed.text
    assert failed.json()["error"]["message"] and KEY not in failed.text


@pytest.mark.parametrize("prompt", ["close", "garble"])
def test_a_stream_that_breaks_is_no_whole_answer(parts: Parts, prompt: str) -> None:
    """Whatever breaks, nobody may take a part for the whole: no `finish_reason: stop` and `[DONE]`."""
    _, gateway, _, _ = parts
    try:
        found = events(gateway, prompt)
    except httpx.RemoteProtocolError:
        return  # broken off: as clear as it can be
    ends = [e["choices"][0].get("finish_reason") for e in found if isinstance(e, dict) and e.get("choices")]
    errors = [e for e in found if isinstance(e, dict) and e.get("error")]
    assert errors or "stop" not in ends, found


def test_a_run_gets_a_whole_answer_in_the_end(parts: Parts) -> None:
    machine, _, _, _ = parts
    done = machine.run("exec", "--local", "--yes", "--model=mine", "run whole", timeout=SLOW_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("the whole answer") and "one two" not in done.stdout


def test_timeouts_and_fallbacks_of_the_configuration_hold(parts: Parts) -> None:
    _, gateway, _, _ = parts
    answer = gateway.chat(model="falls")
    assert answer.status_code == 200 and answer.json()["choices"][0]["message"]["content"] == "hello"
    late = gateway.chat(model="hurried", messages=[said("stall")], stream=False)
    assert late.status_code in (408, 504), late.text


def test_callbacks_hear_of_the_calls(parts: Parts) -> None:
    machine, gateway, _, collector = parts
    assert gateway.chat().status_code == 200

    def of_litellm() -> list[Any]:
        return [span for span in collector.spans if "gen_ai.request.model" in attributes(span)]

    until(lambda: bool(of_litellm()), "LiteLLM's spans arrive", 60)
    until(lambda: any("/api/public/" in path for path in collector.paths), "Langfuse hears of it", 60)
    log = (machine.home / ".kubiya/server/litellm.log").read_text()
    assert LANGFUSE_KEY not in log and KEY not in log
