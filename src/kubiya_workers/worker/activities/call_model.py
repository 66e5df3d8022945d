"""One model call: streamed from the gateway, published as it comes, returned whole."""

import asyncio
import contextlib

from temporalio import activity

from kubiya_workers.contracts.activities import CALL_MODEL, ModelCall, ModelReply
from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.events import Degraded, MessageAdded, ModelStarted, UsageReported
from kubiya_workers.contracts.messages import AssistantMessage, Usage
from kubiya_workers.observability.redaction import Redactor, StreamRedactor

from ..events.publisher import Publisher
from ..metrics import ModelMeter, StepKind
from ..models.assembly import DeltaKind
from ..models.client import ModelClient
from ..models.errors import UpstreamError
from ..workspaces import redactor_of
from .steps import Steps

LAST_WORDS_S = 2.0


class CallModel:
    """`override` wins over what a run asks for; `default` serves runs that ask for none."""

    def __init__(self, steps: Steps, models: ModelClient, *, override: str | None, default: str | None = None) -> None:
        self._steps = steps
        self._models = models
        self._override = override
        self._default = default

    @activity.defn(name=CALL_MODEL)
    async def run(self, call: ModelCall) -> ModelReply:
        steps, attempt = self._steps, activity.info().attempt
        async with steps.edge(call.execution_id, StepKind.MODEL, call.model):
            fact = await steps.finished(call.execution_id, call.step, attempt)
            if isinstance(fact, MessageAdded):
                return _reply_in(fact, call)
            if model := self._override or (self._default if call.model_is_default else None):
                # What the control plane knows of is the price of the other one.
                call = call.model_copy(update={"model": model, "price": None if model != call.model else call.price})
            return await self._complete(call, attempt)

    async def _complete(self, call: ModelCall, attempt: int) -> ModelReply:
        redactor = await self._redactor(call)
        async with self._steps.publisher(call.execution_id, call.step, attempt) as publisher:
            await publisher.fact(ModelStarted(step=call.step, attempt=attempt, model=call.model))
            if call.has_budget:
                # Refused when it is used up; a run without a budget need not wait for the answer.
                await publisher.flush()
            meter = ModelMeter()
            said = _Redacted(redactor, publisher, meter)
            try:
                with self._steps.metrics.model_call(call.model, meter):
                    reply = redacted(await self._models.complete(call, said.on_delta), redactor)
                    reply = reply.model_copy(update={"usage": reply.usage.priced(call.price)})
                    meter.usage = reply.usage
            except UpstreamError as failure:
                error = failure.redacted(redactor)
                await _keep(said, publisher, _begins_again(error, call.step))
                raise error from None
            said.close()
            await _publish(reply, call, attempt, publisher)
            await publisher.flush()
        return reply

    async def _redactor(self, call: ModelCall) -> Redactor:
        """Of the run's secrets; a run without any need not ask for its workspace here."""
        if not call.has_secrets:
            return Redactor(())
        return redactor_of(await self._steps.workspaces.of(call.execution_id))


def _begins_again(error: UpstreamError, step: int) -> Degraded | None:
    """Says why there will be another attempt; None when this one is the last."""
    info = activity.info()
    most = info.retry_policy.maximum_attempts if info.retry_policy else 0
    if not error.retryable or info.attempt == most:
        return None
    pause = f" in {error.retry_after:.0f} s, as it asks" if error.retry_after else ""
    return Degraded(step=step, attempt=info.attempt, reason=f"{error.message}; it is tried again{pause}")


async def _keep(said: "_Redacted", publisher: Publisher, last: Degraded | None) -> None:
    """What a model said before it broke off is shown as far as it came; it must not hold up the next attempt."""
    with contextlib.suppress(Refusal, TimeoutError):
        async with asyncio.timeout(LAST_WORDS_S):
            said.close()
            if last is not None:
                await publisher.fact(last)
            await publisher.flush()


class _Redacted:
    """What the model streams, without secrets, also where one is split between two pieces."""

    def __init__(self, redactor: Redactor, publisher: Publisher, meter: ModelMeter) -> None:
        self._publisher = publisher
        self._meter = meter
        self._streams: dict[DeltaKind, StreamRedactor] = {
            "message": redactor.stream(),
            "reasoning": redactor.stream(),
        }

    def on_delta(self, kind: DeltaKind, text: str) -> None:
        self._meter.heard()
        self._publisher.on_model_delta(kind, self._streams[kind].feed(text))

    def close(self) -> None:
        for kind, stream in self._streams.items():
            self._publisher.on_model_delta(kind, stream.close())


async def _publish(reply: ModelReply, call: ModelCall, attempt: int, publisher: Publisher) -> None:
    usage = reply.usage
    await publisher.fact(
        UsageReported(
            step=call.step,
            attempt=attempt,
            model=reply.model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost_usd=usage.cost_usd or None,
        )
    )
    await publisher.fact(
        MessageAdded(
            step=call.step,
            attempt=attempt,
            role="assistant",
            message_id=f"msg-{call.step}",
            content=reply.message.content,
            reasoning=reply.message.reasoning,
            tool_calls=reply.message.tool_calls,
            finish_reason=reply.finish_reason,
            model=reply.model,
            usage=usage,
        )
    )


def _reply_in(fact: MessageAdded, call: ModelCall) -> ModelReply:
    """The reply that an earlier attempt stored before its worker was lost: the model is not asked, or paid, twice."""
    message = AssistantMessage(content=fact.content, reasoning=fact.reasoning, tool_calls=fact.tool_calls)
    return ModelReply(
        message=message,
        usage=fact.usage or Usage(),
        model=fact.model or call.model,
        finish_reason=fact.finish_reason or "stop",
    )


def redacted(reply: ModelReply, redactor: Redactor) -> ModelReply:
    """The reply without secrets. Tool arguments too: a tool that needs a secret finds it in its environment."""
    message = reply.message
    calls = tuple(c.model_copy(update={"arguments": redactor.text(c.arguments)}) for c in message.tool_calls)
    clean = message.model_copy(
        update={
            "content": redactor.text(message.content),
            "reasoning": redactor.text(message.reasoning),
            "tool_calls": calls,
        }
    )
    return reply.model_copy(update={"message": clean})
