"""The worker's model calls over real HTTP: to a scripted model alone, and through the gateway."""

import asyncio
import time

import pytest
from tests.unit.gateway.serving import KEY, serving, settings

from kubiya_workers.contracts.activities import ModelCall
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.messages import AssistantMessage, SystemMessage, ToolCall, ToolMessage, UserMessage
from kubiya_workers.contracts.tools import ToolSpec
from kubiya_workers.testing import Reply, ScriptedModel, closes, error, garbles, reports, stalls, tool
from kubiya_workers.worker.models import ModelClient, UpstreamError

SHELL = ToolSpec(name="shell", skill="shell", description="runs a command", parameters={"type": "object"})


def call(prompt: str = "hello", **more: object) -> ModelCall:
    fields = {"execution_id": ExecutionId("e"), "step": 1, "model": "m", "messages": (UserMessage(content=prompt),)}
    return ModelCall.model_validate({**fields, **more})


def ignore(kind: str, text: str) -> None: ...


async def test_a_streamed_reply_with_reasoning_and_usage() -> None:
    seen: list[tuple[str, str]] = []
    with ScriptedModel(Reply("two words", reasoning="hm")) as model, serving(settings(model.url)) as url:
        async with ModelClient(url, KEY) as client:
            reply = await client.complete(call(), lambda kind, text: seen.append((kind, text)))
    assert seen == [("reasoning", "hm"), ("message", "two "), ("message", "words")]
    assert reply.message == AssistantMessage(content="two words", reasoning="hm")
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (10, 2)
    assert (reply.model, reply.finish_reason) == ("m", "stop")


async def test_a_conversation_with_tools_in_the_openai_shape() -> None:
    asked = AssistantMessage(tool_calls=(ToolCall(id="c1", name="shell", arguments='{"command":"ls"}'),))
    messages = (
        SystemMessage(content="s"),
        UserMessage(content="u"),
        asked,
        ToolMessage(tool_call_id="c1", content="r"),
    )
    with ScriptedModel(["", tool("shell", {"command": "pwd"})]) as model:
        async with ModelClient(model.url, "t") as client:
            reply = await client.complete(call(messages=messages, tools=(SHELL,), temperature=0.1), ignore)
    assert reply.finish_reason == "tool_calls"
    assert reply.message.tool_calls == (ToolCall(id="call_1_0", name="shell", arguments='{"command":"pwd"}'),)
    body = model.chats[0].body
    assert body["messages"][2]["content"] is None and body["messages"][3]["tool_call_id"] == "c1"
    assert body["tools"][0]["function"]["name"] == "shell" and body["temperature"] == 0.1
    assert model.chats[0].headers["authorization"] == "Bearer t"


async def test_broken_tool_arguments_are_passed_on_as_they_are() -> None:
    with ScriptedModel(tool("shell", '{"command": "ls')) as model:
        async with ModelClient(model.url, "t") as client:
            reply = await client.complete(call(), ignore)
    assert reply.message.tool_calls[0].arguments == '{"command": "ls'


@pytest.mark.parametrize(
    ("reply", "status", "retryable", "retry_after"),
    [
        (error(429, retry_after=3), 429, True, 3.0),
        (error(500), 500, True, None),
        (error(503, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), 503, True, 0.0),
        (error(408), 408, True, None),
        (error(400), 400, False, None),
        (error(401), 401, False, None),
        (error(404), 404, False, None),
        (garbles("a b c", 1), None, True, None),
        (closes("a b c", 1), None, True, None),
        (stalls("a b c", 1), None, True, None),
    ],
)
@pytest.mark.parametrize("through_gateway", [True, False])
async def test_failures_say_whether_another_attempt_can_help(
    reply: Reply, status: int | None, retryable: bool, retry_after: float | None, through_gateway: bool
) -> None:
    with ScriptedModel(reply) as model, serving(settings(model.url)) as gateway:
        async with ModelClient(gateway if through_gateway else model.url, KEY, idle_s=0.3) as client:
            with pytest.raises(UpstreamError) as failed:
                await client.complete(call(), ignore)
    found = failed.value
    assert (found.status, found.retryable, found.retry_after) == (status, retryable, retry_after)
    assert len(model.chats) == 1


async def test_a_failure_does_not_quote_the_key() -> None:
    script = {"whole": error(401, "Incorrect API key: tok-123456"), "streamed": reports("a b", "no quota: tok-123456")}
    with ScriptedModel(script) as model:
        async with ModelClient(model.url, "tok-123456") as client:
            for prompt, words in (("whole", "key: [redacted]"), ("streamed", "quota: [redacted]")):
                with pytest.raises(UpstreamError) as failure:
                    await client.complete(call(prompt), ignore)
                assert words in str(failure.value)
                assert failure.value.__cause__ is None


async def test_a_gateway_that_is_not_there_and_one_that_says_nothing() -> None:
    async with ModelClient("http://127.0.0.1:9", "t") as client:
        with pytest.raises(UpstreamError, match="cannot be reached"):
            await client.complete(call(), ignore)
    with ScriptedModel(Reply("x", delay_s=30)) as model:
        async with ModelClient(model.url, "t", first_byte_s=0.2) as client:
            with pytest.raises(UpstreamError, match="went silent"):
                await client.complete(call(), ignore)


async def test_a_cancelled_call_stops_the_model_through_the_gateway() -> None:
    begun = asyncio.Event()
    with ScriptedModel(Reply("word " * 200, tokens_per_s=20)) as model, serving(settings(model.url)) as url:
        async with ModelClient(url, KEY) as client:
            task = asyncio.create_task(client.complete(call(), lambda *_: begun.set()))
            await asyncio.wait_for(begun.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            end = time.monotonic() + 20
            while not model.chats[0].cut:
                assert time.monotonic() < end
                await asyncio.sleep(0.005)


async def test_a_hundred_calls_at_once_through_the_gateway() -> None:
    scripts = {f"<{n}>": Reply(f"answer {n} of a hundred", tokens_per_s=100) for n in range(100)}
    with ScriptedModel(scripts) as model, serving(settings(model.url)) as url:
        async with ModelClient(url, KEY) as client:
            replies = await asyncio.gather(*(client.complete(call(f"<{n}>"), ignore) for n in range(100)))
    assert [reply.message.content for reply in replies] == [f"answer {n} of a hundred" for n in range(100)]


async def test_a_retried_call_gets_the_next_attempt_of_the_same_step() -> None:
    with ScriptedModel([(error(500), "second time")]) as model:
        async with ModelClient(model.url, "t") as client:
            with pytest.raises(UpstreamError):
                await client.complete(call(), ignore)
            assert (await client.complete(call(), ignore)).message.content == "second time"
            assert [request.attempt for request in model.chats] == [0, 1]
