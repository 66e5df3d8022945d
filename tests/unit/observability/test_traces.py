"""A run's events as a trace: its tree, its attempts, its errors; the same each time it is made."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.contracts.events import (
    ApprovalRequested,
    ApprovalResolved,
    Delta,
    ErrorRaised,
    Fact,
    MessageAdded,
    MessageChunk,
    ModelStarted,
    ToolCompleted,
    ToolStarted,
)
from kubiya_workers.contracts.executions import Execution, FailureReason, Status
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.observability.traces import Span, trace

T0 = datetime(2026, 1, 1, tzinfo=UTC)
ID = ExecutionId("e1")


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def execution(**others: Any) -> Execution:
    fields: dict[str, Any] = {
        "id": ID,
        "execution_id": ID,
        "entity_id": "ops",
        "prompt": "secret prompt",
        "status": Status.COMPLETED,
        "model": "openai/m",
        "created_at": T0,
        "completed_at": at(20),
        "updated_at": at(20),
    }
    return Execution(**{**fields, **others})


USED = Usage(input_tokens=100, output_tokens=20, cached_tokens=60, cost_usd=0.5)
RUN: list[Fact | Delta] = [
    ModelStarted(step=1, attempt=1, timestamp=at(1), model="openai/m"),
    ModelStarted(step=1, attempt=2, timestamp=at(3), model="openai/m"),
    MessageChunk(step=1, attempt=2, timestamp=at(4), message_id="m1", content="x", offset=0),
    MessageAdded(
        step=1,
        attempt=2,
        timestamp=at(5),
        role="assistant",
        content="secret answer",
        message_id="m1",
        model="m-2026",
        usage=USED,
        finish_reason="tool_calls",
    ),
    ApprovalRequested(
        step=2, timestamp=at(6), approval_id="a", tool_name="shell", tool_input={"k": "v"}, expires_at=at(99)
    ),
    ApprovalResolved(step=2, timestamp=at(8), approval_id="a", decision="approved"),
    ToolStarted(step=2, timestamp=at(8), tool_name="shell", tool_execution_id="t", tool_input={"command": "secret"}),
    ToolCompleted(
        step=2,
        timestamp=at(9),
        tool_name="shell",
        tool_execution_id="t",
        tool_status="failed",
        call_id="c1",
        outcome="failed",
        content="secret output",
        duration_ms=1000,
    ),
]


def named(spans: list[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def test_the_tree_of_a_run() -> None:
    spans = trace(execution(usage=USED), RUN)
    assert [span.name for span in spans] == [
        "invoke_agent ops",
        "step 1",
        "chat openai/m",
        "chat openai/m",
        "step 2",
        "approval shell",
        "execute_tool shell",
    ]
    root, first, broken, chat, second, wait, tool = spans
    assert root.parent_id is None and first.parent_id == root.span_id and second.parent_id == root.span_id
    assert {broken.parent_id, chat.parent_id} == {first.span_id} and {wait.parent_id, tool.parent_id} == {
        second.span_id
    }
    assert (broken.start, broken.end, broken.error) == (at(1), at(3), "the call was broken off")
    assert (chat.start, chat.end, chat.error, chat.client) == (at(3), at(5), None, True)
    assert first.error is None and first.attributes["kubiya.attempts"] == 2
    assert chat.attributes["gen_ai.usage.input_tokens"] == 100
    assert chat.attributes["gen_ai.usage.cache_read.input_tokens"] == 60
    assert chat.attributes["gen_ai.response.model"] == "m-2026"
    assert chat.attributes["gen_ai.response.finish_reasons"] == ("tool_calls",)
    assert chat.attributes["gen_ai.provider.name"] == "openai"
    assert (wait.start, wait.end) == (at(6), at(8)) and wait.attributes["kubiya.approval.decision"] == "approved"
    assert tool.error == "the tool failed" and tool.attributes["gen_ai.tool.call.id"] == "c1"
    assert (root.start, root.end, root.error) == (T0, at(20), None)


def test_content_only_when_it_is_asked_for() -> None:
    assert "secret" not in repr(trace(execution(response="secret end"), RUN))
    shown = repr(trace(execution(response="secret end"), RUN, with_content=True))
    assert all(f"secret {what}" in shown for what in ("prompt", "answer", "output", "end"))


def test_a_run_that_failed_says_why() -> None:
    raised = ErrorRaised(timestamp=at(6), error="no model", error_type="model_error", execution_id=ID, status="failed")
    failed = execution(
        status=Status.FAILED,
        failure_reason=FailureReason.INTERNAL,
        error_message="it broke",
        parent_execution_id=ExecutionId("e0"),
    )
    root, *others = trace(failed, [RUN[0], raised])
    assert root.error == "it broke" and root.attributes["error.type"] == "internal"
    assert [moment.name for moment in root.moments] == ["exception"]
    assert root.linked == (trace(execution(id="e0"), [])[0].trace_id, trace(execution(id="e0"), [])[0].span_id)
    (call,) = named(others, "chat openai/m")
    assert call.end == at(20) and call.error == "the call was broken off"


@given(st.permutations(RUN), st.sets(st.sampled_from(range(len(RUN)))))
def test_any_part_of_a_log_in_any_order_is_one_tree(events: list[Fact | Delta], missing: set[int]) -> None:
    left = [event for event in events if RUN.index(event) not in missing]
    spans = trace(execution(), left)
    assert spans == trace(execution(), left), "made again it is the same"
    ids = [span.span_id for span in spans]
    assert len(set(ids)) == len(ids) and all(span.trace_id == spans[0].trace_id for span in spans)
    by_id = {span.span_id: span for span in spans}
    for span in spans[1:]:
        parent = by_id[span.parent_id or 0]
        assert parent.start <= span.start <= span.end <= parent.end
