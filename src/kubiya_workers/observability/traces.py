"""What a run's events say, as a trace: execution → step → model call or tool call, each attempt a span of its own.

A trace is a projection of the event log and its identifiers are made of what they name, so that the same run makes
the same trace wherever and however often it is made. Names and attributes are those of the semantic conventions for
generative AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/); what these have no word for begins with `kubiya.`.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from kubiya_workers.contracts.events import (
    ApprovalRequested,
    ApprovalResolved,
    Degraded,
    Delta,
    ErrorRaised,
    Fact,
    MessageAdded,
    ModelStarted,
    ToolCompleted,
    ToolStarted,
)
from kubiya_workers.contracts.executions import Execution, Status
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.messages import Usage

Value = str | int | float | bool | tuple[str, ...]

_PROVIDERS = {"azure": "azure.ai.openai", "bedrock": "aws.bedrock", "gemini": "gcp.gemini", "mistral": "mistral_ai"}
_OTHER = "_OTHER"
"""The conventions' word for what they do not name."""


@dataclass(frozen=True)
class Moment:
    """Something that happened within a span."""

    name: str
    at: datetime
    attributes: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True)
class Span:
    """`trace_id` has 128 bits, `span_id` and `parent_id` 64. `error` says why it failed; None when it did not."""

    trace_id: int
    span_id: int
    parent_id: int | None
    name: str
    start: datetime
    end: datetime
    attributes: Mapping[str, Value]
    client: bool = False
    """It waited for somebody else's answer."""
    error: str | None = None
    moments: tuple[Moment, ...] = ()
    linked: tuple[int, int] | None = None
    """The trace and the span of the execution that asked for this one."""


def trace_id(execution_id: ExecutionId) -> int:
    return _number(f"trace:{execution_id}", 16)


def span_id(execution_id: ExecutionId, *place: str | int) -> int:
    return _number(":".join(("span", execution_id, *map(str, place))), 8)


def trace(execution: Execution, events: Iterable[Fact | Delta], *, with_content: bool = False) -> list[Span]:
    """The spans of a run that is over, the execution's first.

    `with_content` adds prompts, answers, and what tools were given and returned: they are nobody's business otherwise.
    """
    facts = sorted((event for event in events if not event.type.endswith("_chunk")), key=lambda fact: fact.timestamp)
    end = max([execution.completed_at or execution.updated_at, *(fact.timestamp for fact in facts)])
    spans = [_root(execution, facts, end, with_content)]
    steps: dict[int, list[Fact | Delta]] = defaultdict(list)
    for fact in facts:
        if fact.step > 0:
            steps[fact.step].append(fact)
    for step, of_step in sorted(steps.items()):
        spans += _step(execution.id, step, of_step, end, with_content)
    return spans


def _root(execution: Execution, facts: Sequence[Fact | Delta], end: datetime, with_content: bool) -> Span:
    parent = execution.parent_execution_id
    name = execution.entity_name or execution.entity_id
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": _provider(execution.model),
        "gen_ai.agent.id": execution.entity_id,
        "gen_ai.agent.name": name,
        "gen_ai.conversation.id": execution.id,
        "gen_ai.request.model": execution.model,
        "kubiya.execution.status": execution.status,
        "kubiya.queue.id": execution.worker_queue_id,
        "kubiya.worker.id": execution.worker_id,
        **_used(execution.usage),
    }
    failed = execution.status is not Status.COMPLETED
    if failed:
        attributes["error.type"] = str(execution.failure_reason or execution.status)
    if with_content:
        attributes["gen_ai.input.messages"] = _said("user", execution.prompt)
        attributes["gen_ai.output.messages"] = _said("assistant", execution.response or "")
    return Span(
        trace_id=trace_id(execution.id),
        span_id=span_id(execution.id),
        parent_id=None,
        name=f"invoke_agent {name}",
        start=min([execution.created_at, *(fact.timestamp for fact in facts)]),
        end=end,
        attributes=_known(attributes),
        error=(execution.error_message or str(execution.status)) if failed else None,
        moments=tuple(filter(None, map(_moment, facts))),
        linked=(trace_id(parent), span_id(parent)) if parent else None,
    )


def _moment(fact: Fact | Delta) -> Moment | None:
    match fact:
        case ErrorRaised():
            what: dict[str, Value] = {"exception.type": fact.error_type, "exception.message": fact.error}
            return Moment("exception", fact.timestamp, what)
        case Degraded():
            return Moment("kubiya.degraded", fact.timestamp, {"kubiya.reason": fact.reason})
        case _:
            return None


def _step(
    execution_id: ExecutionId, step: int, facts: Sequence[Fact | Delta], run_end: datetime, with_content: bool
) -> list[Span]:
    """The step and its attempts. An attempt that another one followed was broken off when that one began."""
    attempts: dict[int, list[Fact | Delta]] = defaultdict(list)
    for fact in facts:
        if not isinstance(fact, ApprovalRequested | ApprovalResolved):
            attempts[fact.attempt].append(fact)
    numbers = sorted(attempts)
    starts = {number: _start(attempts[number]) for number in numbers}
    spans = _waits(execution_id, step, facts, run_end)
    for place, number in enumerate(numbers, start=1):
        cut = starts[numbers[place]] if place < len(numbers) else run_end
        spans += _attempt(execution_id, step, number, attempts[number], max(cut, starts[number]), with_content)
    if not spans:
        return []
    whole = Span(
        trace_id=trace_id(execution_id),
        span_id=span_id(execution_id, step),
        parent_id=span_id(execution_id),
        name=f"step {step}",
        start=min(span.start for span in spans),
        end=max(span.end for span in spans),
        attributes={"kubiya.step": step, "kubiya.attempts": len(numbers)},
        error=spans[-1].error,
    )
    return [whole, *spans]


def _start(facts: Sequence[Fact | Delta]) -> datetime:
    first = facts[0]
    if isinstance(first, ToolCompleted):
        return first.timestamp - timedelta(milliseconds=first.duration_ms)
    return first.timestamp


def _attempt(
    execution_id: ExecutionId,
    step: int,
    attempt: int,
    facts: Sequence[Fact | Delta],
    cut: datetime,
    with_content: bool,
) -> list[Span]:
    started = next((fact for fact in facts if isinstance(fact, ModelStarted | ToolStarted)), None)
    ended = next((fact for fact in facts if isinstance(fact, MessageAdded | ToolCompleted)), None)
    if isinstance(started or ended, ToolStarted | ToolCompleted):
        name, attributes, error = _tool(started, ended, with_content)
    elif started is not None or ended is not None:
        name, attributes, error = _model(started, ended, with_content)
    else:
        return []
    span = Span(
        trace_id=trace_id(execution_id),
        span_id=span_id(execution_id, step, attempt),
        parent_id=span_id(execution_id, step),
        name=name,
        start=_start(facts),
        end=ended.timestamp if ended is not None else cut,
        attributes={**attributes, "kubiya.step": step, "kubiya.attempt": attempt},
        client=name.startswith("chat"),
        error=error,
    )
    return [span]


def _model(started: Fact | None, ended: Fact | None, with_content: bool) -> tuple[str, Mapping[str, Value], str | None]:
    asked = started.model if isinstance(started, ModelStarted) else None
    said = ended if isinstance(ended, MessageAdded) else None
    model = asked or (said.model if said else None) or "unknown"
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": _provider(model),
        "gen_ai.request.model": model,
    }
    if said is None:
        return f"chat {model}", _known({**attributes, "error.type": "interrupted"}), "the call was broken off"
    attributes["gen_ai.response.model"] = said.model
    attributes["gen_ai.response.finish_reasons"] = (said.finish_reason,) if said.finish_reason else None
    attributes |= _used(said.usage) if said.usage else {}
    if with_content:
        attributes["gen_ai.output.messages"] = _said("assistant", said.content)
    return f"chat {model}", _known(attributes), None


def _tool(started: Fact | None, ended: Fact | None, with_content: bool) -> tuple[str, Mapping[str, Value], str | None]:
    begun = started if isinstance(started, ToolStarted) else None
    done = ended if isinstance(ended, ToolCompleted) else None
    name = begun.tool_name if begun else done.tool_name if done else "unknown"
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": name,
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": (done.call_id if done else None) or (begun.tool_execution_id if begun else None),
    }
    if with_content and begun:
        attributes["gen_ai.tool.call.arguments"] = json.dumps(begun.tool_input)
    if with_content and done:
        attributes["gen_ai.tool.call.result"] = done.content
    error = None
    if done is None:
        error, attributes["error.type"] = "the call was broken off", "interrupted"
    elif done.tool_status == "failed":
        error, attributes["error.type"] = "the tool failed", done.outcome or "failed"
    return f"execute_tool {name}", _known(attributes), error


def _waits(execution_id: ExecutionId, step: int, facts: Sequence[Fact | Delta], run_end: datetime) -> list[Span]:
    """What a step waited for people."""
    answers = {fact.approval_id: fact for fact in facts if isinstance(fact, ApprovalResolved)}
    asked = [fact for fact in facts if isinstance(fact, ApprovalRequested)]
    return [_wait(execution_id, step, request, answers.get(request.approval_id), run_end) for request in asked]


def _wait(
    execution_id: ExecutionId, step: int, request: ApprovalRequested, answer: ApprovalResolved | None, run_end: datetime
) -> Span:
    decision = answer.decision if answer else None
    return Span(
        trace_id=trace_id(execution_id),
        span_id=span_id(execution_id, step, "approval", request.approval_id),
        parent_id=span_id(execution_id, step),
        name=f"approval {request.tool_name}",
        start=request.timestamp,
        end=answer.timestamp if answer else run_end,
        attributes=_known({"gen_ai.tool.name": request.tool_name, "kubiya.approval.decision": decision}),
    )


def _used(usage: Usage) -> dict[str, Value | None]:
    return {
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens or None,
        "kubiya.usage.reasoning_tokens": usage.reasoning_tokens or None,
        "kubiya.usage.cost_usd": usage.cost_usd or None,
    }


def _provider(model: str | None) -> str:
    """By the name's prefix; a name without one says nothing of who serves it."""
    prefix, slash, _ = (model or "").partition("/")
    return _PROVIDERS.get(prefix, prefix) if slash else _OTHER


def _said(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def _known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}


def _number(text: str, size: int) -> int:
    """Never 0, which the standard forbids."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big") or 1
