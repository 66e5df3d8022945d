"""The gateway over real HTTP, before a scripted model."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from tests.unit.gateway.serving import KEY, Records, serving, settings

from kubiya_workers.contracts.messages import Usage
from kubiya_workers.gateway.usage import StreamTail
from kubiya_workers.testing import Reply, ScriptedModel, closes, error, reports, stalls, tool

MIB = 1024 * 1024
AUTH = {"authorization": f"Bearer {KEY}"}


def _chat(prompt: str = "hello", *, stream: bool = False, model: str = "m", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "stream": stream, **more}


async def _until(condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.005)


async def _unannounced(mib: int) -> AsyncIterator[bytes]:
    for _ in range(mib):
        yield bytes(MIB)


async def _post(url: str, body: Any, headers: dict[str, str] = AUTH, path: str = "/chat/completions") -> httpx.Response:
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.post(f"{url}/v1{path}", json=body, headers=headers)


async def test_an_answer_is_passed_on_unchanged_and_metered() -> None:
    meter = Records()
    model = ScriptedModel("Hi there.", api_key="upstream-key")
    with model, serving(settings(model.url, api_key="upstream-key"), meter) as url:
        body = _chat(temperature=0.5, messages=[{"role": "user", "content": "é\u2028"}])
        answer = await _post(url, body)
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == "Hi there."
        assert model.chats[0].body == body
        await _until(lambda: bool(meter.calls))
    assert meter.calls == [("m", Usage(input_tokens=10, output_tokens=2))]


async def test_a_stream_comes_token_by_token_and_its_usage_is_metered_unasked() -> None:
    meter = Records()
    with (
        ScriptedModel(Reply("one two three four", tokens_per_s=5)) as model,
        serving(settings(model.url), meter) as url,
    ):
        async with (
            httpx.AsyncClient(timeout=20, headers=AUTH) as http,
            http.stream("POST", f"{url}/v1/chat/completions", json=_chat(stream=True)) as answer,
        ):
            pieces = answer.aiter_raw()
            assert b'"one "' in await anext(pieces)
            assert not model.chats[0].finished
            rest = b"".join([piece async for piece in pieces])
        assert rest.endswith(b"data: [DONE]\n\n") and b'"four"' in rest
        assert model.chats[0].body["stream_options"] == {"include_usage": True}
        await _until(lambda: bool(meter.calls))
    assert meter.calls == [("m", Usage(input_tokens=10, output_tokens=4))]


async def test_stream_options_of_the_caller_are_kept() -> None:
    with ScriptedModel("x") as model, serving(settings(model.url)) as url:
        await _post(url, _chat(stream=True, stream_options={"include_usage": False}))
        await _post(url, _chat(stream=True, stream_options={"other": 1}))
        assert model.chats[0].body["stream_options"] == {"include_usage": False}
        assert model.chats[1].body["stream_options"] == {"other": 1, "include_usage": True}


async def test_a_client_that_leaves_stops_the_upstream() -> None:
    with ScriptedModel(Reply("word " * 200, tokens_per_s=20)) as model, serving(settings(model.url)) as url:
        async with (
            httpx.AsyncClient(timeout=20, headers=AUTH) as http,
            http.stream("POST", f"{url}/v1/chat/completions", json=_chat(stream=True)) as answer,
        ):
            await anext(answer.aiter_raw())
        await _until(lambda: model.chats[0].cut)


async def test_a_client_that_leaves_before_the_first_byte_stops_the_upstream() -> None:
    with ScriptedModel(Reply("late", delay_s=30)) as model, serving(settings(model.url)) as url:
        async with httpx.AsyncClient(timeout=20, headers=AUTH) as http:
            call = asyncio.create_task(http.post(f"{url}/v1/chat/completions", json=_chat()))
            await _until(lambda: bool(model.chats))
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await _until(lambda: model.chats[0].cut)


async def test_how_each_call_ended_is_told_to_the_meter() -> None:
    meter = Records()
    script: dict[str, Any] = {
        "fine": ["one"],
        "slow down": [error(429)],
        "bad": [error(400)],
        "broken": [error(500)],
        "late": [Reply("x", delay_s=30)],
        "stall": [stalls("a b c", 2)],
        "close": [closes("a b c", 2)],
    }
    with ScriptedModel(script) as model, serving(settings(model.url), meter, read_timeout_s=1.0) as url:
        for prompt in ("fine", "slow down", "bad", "broken", "late"):
            await _post(url, _chat(prompt))
        for prompt in ("fine", "stall", "close"):
            await _post(url, _chat(prompt, stream=True))
        await _post(url, _chat("fine", model="kubiya/offline"))
        await _post(url, {"model": "kubiya/offline", "input": "x"}, path="/embeddings")
        await _until(lambda: len(meter.ended) == 10)
    kinds = ["completed", "rate_limited", "refused", "failed", "timeout", "completed", "timeout", "broke_off"]
    offline = [("kubiya/offline", "kubiya", kind) for kind in ("completed", "refused")]
    assert meter.results == [*(("m", "custom", kind) for kind in kinds), *offline]


async def test_a_call_that_nobody_waits_for_is_told_to_the_meter_as_such() -> None:
    meter = Records()
    with ScriptedModel(Reply("x", delay_s=30)) as model, serving(settings(model.url), meter) as url:
        async with httpx.AsyncClient(timeout=20, headers=AUTH) as http:
            call = asyncio.create_task(http.post(f"{url}/v1/chat/completions", json=_chat()))
            await _until(lambda: bool(model.chats))
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        await _until(lambda: bool(meter.ended))
    assert meter.results == [("m", "custom", "client_left")] and not meter.calls


@pytest.mark.parametrize(
    ("end", "is_error"),
    [
        (b'data: {"error": {"message": "overloaded", "code": "500"}}\n\ndata: [DONE]\n\n', True),
        (b'data: {"error": {"message": "overloaded"}}\n\n', True),
        (b'data: {"choices": [], "usage": {"total_tokens": 1}}\n\ndata: [DONE]\n\n', False),
        (b'data: {"choices": [{"delta": {"content": "{\\"error\\""}}]}\n\n', False),
        (b"", False),
    ],
)
def test_an_error_within_a_stream_is_seen_at_its_end(end: bytes, is_error: bool) -> None:
    tail = StreamTail()
    for piece in (b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', end):
        tail.feed(piece)
    assert tail.tells_of_error() is is_error


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_keeps_its_status_its_words_and_when_to_come_back(stream: bool) -> None:
    with ScriptedModel(error(429, "slow down", retry_after=7)) as model, serving(settings(model.url)) as url:
        answer = await _post(url, _chat(stream=stream))
    assert answer.status_code == 429 and answer.headers["retry-after"] == "7"
    assert "slow down" in answer.json()["error"]["message"] and "slow down" in answer.json()["detail"]
    assert len(model.chats) == 1


async def test_the_upstreams_key_is_never_shown() -> None:
    model = ScriptedModel("x", api_key="right")
    with model, serving(settings(model.url, api_key="sk-secret-wrong")) as url:
        answer = await _post(url, _chat())
    assert answer.status_code == 401 and "[redacted]" in answer.text and "sk-secret-wrong" not in answer.text


async def test_an_error_within_a_stream_does_not_quote_the_key() -> None:
    key = "sk-secret-wrong"
    model = ScriptedModel(reports("two words", f"no quota for {key}, {key[:6]}..."))
    with model, serving(settings(model.url, api_key=key)) as url:
        answer = await _post(url, _chat(stream=True))
    assert answer.status_code == 200 and '"two "' in answer.text
    assert "no quota for [redacted], sk-sec..." in answer.text and key not in answer.text


async def test_an_error_that_is_not_json_is_told_in_its_own_words() -> None:
    with ScriptedModel(Reply(status=503, body="<h1>down</h1>")) as model, serving(settings(model.url)) as url:
        answer = await _post(url, _chat())
    assert answer.status_code == 503 and "<h1>down</h1>" in answer.json()["detail"]


async def test_an_upstream_that_is_not_there_is_502() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with serving(settings(f"http://127.0.0.1:{port}/v1")) as url:
        answer = await _post(url, _chat())
    assert answer.status_code == 502 and f"127.0.0.1:{port}" in answer.json()["detail"]


async def test_silence_before_the_answer_is_504_and_in_a_stream_an_error_event() -> None:
    model = ScriptedModel({"late": Reply("x", delay_s=30), "stall": stalls("a b c", 2)})
    with model, serving(settings(model.url), read_timeout_s=0.2) as url:
        assert (await _post(url, _chat("late"))).status_code == 504
        streamed = await _post(url, _chat("stall", stream=True))
    assert streamed.status_code == 200 and '"b "' in streamed.text and "went silent" in streamed.text
    assert "[DONE]" not in streamed.text


async def test_an_upstream_that_breaks_off_is_told_and_not_covered_up() -> None:
    with ScriptedModel(closes("a b c", 2)) as model, serving(settings(model.url)) as url:
        assert (await _post(url, _chat())).status_code == 502
        streamed = await _post(url, _chat(stream=True))
    assert "upstream_broke_off" in streamed.text and "[DONE]" not in streamed.text


async def test_a_prompt_of_a_megabyte_passes_and_a_body_over_the_limit_is_413() -> None:
    with ScriptedModel("ok") as model, serving(settings(model.url)) as url:
        assert (await _post(url, _chat("p" * 1_000_000, stream=True))).status_code == 200
        assert len(model.chats[0].body["messages"][0]["content"]) == 1_000_000
        async with httpx.AsyncClient(timeout=20, headers=AUTH) as http:
            for content in (bytes(33 * MIB), _unannounced(33)):
                answer = await http.post(f"{url}/v1/chat/completions", content=content)
                assert answer.status_code == 413 and answer.json()["code"] == "too_large"


async def test_wrong_requests_get_clear_errors() -> None:
    with ScriptedModel("x") as model, serving(settings(model.url)) as url:
        assert (await _post(url, _chat(), headers={})).status_code == 401
        assert (await _post(url, _chat(), headers={"authorization": "Bearer nope"})).status_code == 401
        assert (await _post(url, _chat(), headers={"authorization": f"UserKey {KEY}"})).status_code == 200
        for bad in ([1], {"model": 3}, {"model": "m", "messages": "x"}):
            answer = await _post(url, bad)
            assert answer.status_code == 422 and answer.json()["error"]["type"] == "invalid_request_error"
        async with httpx.AsyncClient() as http:
            broken = await http.post(f"{url}/v1/chat/completions", content=b"{", headers=AUTH)
        assert broken.status_code == 422 and "not valid JSON" in broken.json()["detail"]
    assert len(model.chats) == 1


async def test_a_hundred_streams_at_once() -> None:
    with ScriptedModel(Reply("a b c d e", tokens_per_s=50)) as model, serving(settings(model.url)) as url:
        async with httpx.AsyncClient(timeout=20, headers=AUTH, limits=httpx.Limits(max_connections=None)) as http:
            calls = [http.post(f"{url}/v1/chat/completions", json=_chat(f"p{n}", stream=True)) for n in range(100)]
            answers = await asyncio.gather(*calls)
    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)
    assert len(model.chats) == 100


async def test_embeddings_are_forwarded() -> None:
    with ScriptedModel() as model, serving(settings(model.url)) as url:
        answer = await _post(url, {"model": "e", "input": ["a", "b"]}, path="/embeddings")
    assert [item["index"] for item in answer.json()["data"]] == [0, 1]


async def test_the_offline_model_is_always_there_by_name() -> None:
    with ScriptedModel([tool("x")]) as model, serving(settings(model.url)) as url:
        for stream in (True, False):
            answer = await _post(url, _chat(stream=stream, model="kubiya/offline"))
            assert answer.status_code == 200 and "(offline" in answer.text
        assert (await _post(url, {"model": "kubiya/offline", "input": "x"}, path="/embeddings")).status_code == 422
    assert not model.chats
