"""One tool call, and the settling of one that gave no result."""

import asyncio
import json
from typing import Any, cast

from temporalio import activity

from kubiya_workers.contracts.activities import CALL_TOOL, SETTLE_TOOL, Settlement
from kubiya_workers.contracts.events import ToolCompleted, ToolStarted
from kubiya_workers.contracts.tools import ToolClass, ToolRequest, ToolResult, ToolStatus, Workspace
from kubiya_workers.observability.redaction import Redactor

from ..events.publisher import Publisher
from ..metrics import StepKind
from ..tools import Toolbox
from ..workspaces import redactor_of
from .steps import Steps

_SAID = {
    ToolStatus.UNKNOWN: "The outcome of this call is unknown: {why}. It may or may not have taken effect, and was not "
    "run again. Check before you repeat it.",
    ToolStatus.DENIED: "This call was not run: {why}.",
}


class CallTool:
    def __init__(self, steps: Steps, toolbox: Toolbox) -> None:
        self._steps = steps
        self._toolbox = toolbox

    @activity.defn(name=CALL_TOOL)
    async def run(self, request: ToolRequest) -> ToolResult:
        steps, attempt = self._steps, activity.info().attempt
        async with steps.edge(request.execution_id, StepKind.TOOL, request.tool):
            fact = await steps.finished(request.execution_id, request.step, attempt)
            if isinstance(fact, ToolCompleted):
                return _result_in(fact)
            return await self._call(request, attempt)

    async def _call(self, request: ToolRequest, attempt: int) -> ToolResult:
        workspace = await self._steps.workspaces.of(request.execution_id)
        redactor = redactor_of(workspace)
        async with self._steps.publisher(request.execution_id, request.step, attempt) as publisher:
            await publisher.fact(ToolStarted.of(request, attempt, _input(redactor.text(request.arguments))))
            # Durable before it runs: the record that a tool was begun must not be younger than its effect.
            await publisher.flush()
            result = _redacted(await self._run(request, workspace, redactor, publisher), redactor)
            self._steps.metrics.tool_call_ended(result)
            await publisher.fact(ToolCompleted.of(request, attempt, result))
            await publisher.flush()
        return result

    async def _run(
        self, request: ToolRequest, workspace: Workspace, redactor: Redactor, publisher: Publisher
    ) -> ToolResult:
        stream = redactor.stream()

        def on_output(text: str) -> None:
            publisher.on_tool_output(stream.feed(text))

        try:
            result = await self._toolbox.run(request, workspace, on_output=on_output)
        except asyncio.CancelledError:
            once = request.spec is not None and request.spec.tool_class is ToolClass.ONCE
            if not (once and activity.is_worker_shutdown()):
                raise
            return _ended(request, ToolStatus.UNKNOWN, "its worker was shut down while it ran")
        publisher.on_tool_output(stream.close())
        return result

    @activity.defn(name=SETTLE_TOOL)
    async def settle(self, settlement: Settlement) -> ToolResult:
        """Its attempt number is higher than any that may still run somewhere, and so refuses their late words."""
        request, steps = settlement.request, self._steps
        attempt = settlement.attempts + activity.info().attempt
        async with steps.edge(request.execution_id, StepKind.SETTLE, request.tool):
            fact = await steps.finished(request.execution_id, request.step, attempt + 1)
            if isinstance(fact, ToolCompleted):
                return _result_in(fact)
            result = _ended(request, settlement.outcome, settlement.why)
            steps.metrics.tool_call_settled(result)
            async with steps.publisher(request.execution_id, request.step, attempt) as publisher:
                await publisher.fact(ToolCompleted.of(request, attempt, result))
                await publisher.flush()
            return result


def _input(arguments: str) -> dict[str, Any]:
    """The arguments as an object; what is none is shown as the model wrote it."""
    try:
        parsed: Any = json.loads(arguments or "{}")
    except ValueError:
        return {"arguments": arguments}
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {"arguments": parsed}


def _result_in(fact: ToolCompleted) -> ToolResult:
    """The result that an earlier attempt stored before its worker was lost."""
    return ToolResult(
        call_id=fact.call_id,
        tool=fact.tool_name,
        status=ToolStatus(fact.outcome or fact.tool_status),
        content=fact.content,
        output=fact.tool_output,
        error=fact.tool_error,
        duration_ms=fact.duration_ms,
    )


def _ended(request: ToolRequest, status: ToolStatus, why: str) -> ToolResult:
    return ToolResult(
        call_id=request.call_id,
        tool=request.tool,
        status=status,
        content=_SAID.get(status, "{why}").format(why=why),
        error=f"outcome {status}: {why}",
    )


def _redacted(result: ToolResult, redactor: Redactor) -> ToolResult:
    return result.model_copy(
        update={
            "content": redactor.text(result.content),
            "output": redactor.body(result.output),
            "error": redactor.text(result.error) if result.error else None,
        }
    )
