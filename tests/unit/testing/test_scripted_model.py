"""The scripted model, asked as a client would."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from kubiya_workers.testing import Reply, ScriptedModel, closes, error, garbles, tool
from kubiya_workers.testing.scripted_replies import Scripts, read_script, words


def _ask(model: ScriptedModel, *roles: str, prompt: str = "p", **more: Any) -> httpx.Response:
    messages = [{"role": "user", "content": prompt}, *({"role": role, "content": "x"} for role in roles)]
    with httpx.Client(timeout=10) as http:
        return http.post(f"{model.url}/chat/completions", json={"model": "m", "messages": messages, **more})


def _content(answer: httpx.Response) -> str:
    return answer.json()["choices"][0]["message"]["content"]


def test_the_step_of_the_conversation_chooses_the_reply() -> None:
    with ScriptedModel(["first", "second"]) as model:
        assert _content(_ask(model, "assistant", "tool")) == "second"
        assert _content(_ask(model)) == _content(_ask(model)) == "first"
        ended = _ask(model, "assistant", "assistant")
        assert ended.status_code == 400 and "2 replies" in ended.text
        assert [request.step for request in model.requests] == [1, 0, 0, 2] and model.count == 4


def test_scripts_by_prompt_the_longest_match_first() -> None:
    with ScriptedModel({"": "any", "abc": "letters", "a": "short"}) as model:
        assert _content(_ask(model, prompt="xabcx")) == "letters"
        assert _content(_ask(model, prompt="a")) == "short"
        assert _content(_ask(model, prompt="?")) == "any"


def test_attempts_are_counted_for_each_conversation() -> None:
    with ScriptedModel([(error(429, retry_after=1), "fine")]) as model:
        assert [_ask(model, prompt=p).status_code for p in ("x", "y", "x", "x")] == [429, 429, 200, 200]


def test_streams_carry_the_usage_only_when_asked_and_cut_the_arguments() -> None:
    with ScriptedModel(tool("shell", {"command": "a long enough command line"}, text="ok")) as model:
        plain = _ask(model, stream=True).text
        asked = _ask(model, stream=True, stream_options={"include_usage": True}).text
    assert '"usage"' not in plain and '"usage"' in asked and asked.endswith("data: [DONE]\n\n")
    chunks = [json.loads(line[6:]) for line in plain.splitlines() if line.startswith("data: {")]
    pieces = [
        c["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
        for c in chunks
        if "tool_calls" in c["choices"][0]["delta"]
    ]
    assert len(pieces) > 2 and json.loads("".join(pieces)) == {"command": "a long enough command line"}


def test_answers_go_wrong_as_scripted() -> None:
    with ScriptedModel({"close": closes("a b c"), "garbage": garbles("a b c")}) as model:
        for stream in (True, False):
            with pytest.raises(httpx.RemoteProtocolError):
                _ask(model, prompt="close", stream=stream)
            assert "{not json" in _ask(model, prompt="garbage", stream=stream).text


def test_the_key_is_demanded_and_models_are_listed() -> None:
    with ScriptedModel("x", api_key="k", models=("a", "b")) as model, httpx.Client() as http:
        assert http.get(f"{model.url}/models").status_code == 401
        listed = http.get(f"{model.url}/models", headers={"authorization": "Bearer k"}).json()
        assert [item["id"] for item in listed["data"]] == ["a", "b"]
        assert http.get(f"{model.url}/other", headers={"authorization": "Bearer k"}).status_code == 404


def test_words() -> None:
    assert words("  two  words\n") == ["  ", "two  ", "words\n"]
    assert words("") == [] and words(" ") == [" "]


def test_a_script_file(tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("- text: hi\n  delay_s: 0.5\n- [ {status: 500, body: down}, again ]\n")
    assert read_script(file) == Scripts.of([Reply("hi", delay_s=0.5), (Reply(status=500, body="down"), "again")])
    file.write_text('{"a": ["x"]}')
    assert read_script(file) == Scripts.of({"a": ["x"]})
    file.write_text("- {txt: wrong}")
    with pytest.raises(ValueError, match="txt"):
        read_script(file)


def test_it_runs_alone_and_ends_cleanly(tmp_path: Path) -> None:
    file = tmp_path / "script.yaml"
    file.write_text("[alone]")
    command = [sys.executable, "-m", "kubiya_workers.testing.scripted_model", "--script", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        answer = httpx.post(f"{url}/chat/completions", json={"messages": [{"role": "user", "content": "x"}]})
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert _content(answer) == "alone"
