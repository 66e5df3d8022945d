"""The shapes of runs whose histories are recorded: `python -m tests.workflows.record` writes them anew."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError

from kubiya_workers.agent.teams import delegate_tool
from kubiya_workers.contracts.activities import (
    SIGNAL_APPROVAL,
    SIGNAL_MARK_DONE,
    SIGNAL_MESSAGE,
    ApprovalSignal,
    ServerFault,
    ToolsListed,
)
from kubiya_workers.contracts.agents import AgentSpec
from kubiya_workers.contracts.executions import RunOutcome, Status
from kubiya_workers.contracts.ids import AgentId
from kubiya_workers.contracts.mcp import McpServer
from kubiya_workers.contracts.teams import Member
from kubiya_workers.contracts.tools import Approval, ToolClass, ToolRequest, ToolResult, ToolSpec

from .conftest import Script, Stage, calls, delegates, says

Handle = WorkflowHandle[object, RunOutcome]


def tool(name: str, tool_class: ToolClass = ToolClass.ONCE, approval: Approval = Approval.NEVER) -> ToolSpec:
    return ToolSpec(name=name, skill="shell", description=name, parameters={}, tool_class=tool_class, approval=approval)


AGENT = AgentSpec(
    name="ops",
    model="m",
    tools=(
        tool("once"),
        tool("safe", ToolClass.RETRY_SAFE),
        tool("guarded", approval=Approval.ALWAYS),
    ),
)


SEARCH = ToolSpec(
    name="it__search", skill="mcp", description="", parameters={}, config={"server": "it", "tool": "search"}
)
EQUIPPED = AGENT.model_copy(
    update={
        "mcp_servers": (
            McpServer(name="it", config={"command": "x"}),
            McpServer(name="spare", config={"command": "y", "optional": True}),
        )
    }
)
LISTED = ToolsListed(tools=(SEARCH,), faults=(ServerFault(server="spare", reason="it is away"),))
AWAY = ToolsListed(faults=(ServerFault(server="it", reason="it is away"),))


TEAM = AgentSpec(
    name="team",
    model="m",
    tools=(delegate_tool([Member(agent_id=AgentId(name), agent=AgentSpec(name=name, model="m")) for name in "ab"]),),
)


async def until(condition: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def _fails(request: ToolRequest) -> ToolResult:
    raise ApplicationError("its worker died")


async def answered(stage: Stage) -> Handle:
    async with stage.playing(Script([says("hello")]), AGENT) as handle:
        await handle.result()
        return handle


async def tools_side_by_side(stage: Stage) -> Handle:
    async with stage.playing(Script([calls("once", "safe"), says("done")]), AGENT) as handle:
        await handle.result()
        return handle


async def tool_settled(stage: Stage) -> Handle:
    async with stage.playing(Script([calls("once"), says("done")], tool=_fails), AGENT) as handle:
        await handle.result()
        return handle


async def model_retried(stage: Stage) -> Handle:
    busy = ApplicationError("slow down", next_retry_delay=timedelta(milliseconds=10))
    async with stage.playing(Script([busy, says("done")]), AGENT) as handle:
        await handle.result()
        return handle


async def approved(stage: Stage) -> Handle:
    script = Script([calls("guarded"), says("done")])
    async with stage.playing(script, AGENT) as handle:
        await until(lambda: Status.WAITING_FOR_INPUT in script.statuses())
        await handle.signal(SIGNAL_APPROVAL, ApprovalSignal(approval_id="approval-2", decision="approved"))
        await handle.result()
        return handle


async def conversation(stage: Stage) -> Handle:
    script = Script([says("first"), says("second")])
    async with stage.playing(script, AGENT, interactive=True) as handle:
        await until(lambda: script.statuses() == [Status.WAITING_FOR_INPUT])
        await handle.signal(SIGNAL_MESSAGE, "and then?")
        await until(lambda: len(script.model_calls) == 2 and script.statuses()[-1] == Status.WAITING_FOR_INPUT)
        await handle.signal(SIGNAL_MARK_DONE)
        await handle.result()
        return handle


async def continued_as_new(stage: Stage) -> Handle:
    script = Script([*[calls("once") for _ in range(4)], says("done")])
    async with stage.playing(script, AGENT, handover_events=20) as handle:
        await handle.result()
        return stage.client.get_workflow_handle(handle.id)


async def mcp_tools(stage: Stage) -> Handle:
    script = Script([calls("it__search", "once"), says("done")], listed=LISTED)
    async with stage.playing(script, EQUIPPED) as handle:
        await handle.result()
        return handle


async def mcp_server_away(stage: Stage) -> Handle:
    async with stage.playing(Script([], listed=AWAY), EQUIPPED) as handle:
        await handle.result()
        return handle


async def delegated(stage: Stage) -> Handle:
    """Two members side by side, then one that fails."""
    script = Script(
        [delegates(a="first", b="second"), delegates(a="third"), says("done")],
        members=[says("one"), says("two"), ApplicationError("broken", type="model_error", non_retryable=True)],
    )
    async with stage.playing(script, TEAM) as handle:
        await handle.result()
        return handle


SHAPES: dict[str, Callable[[Stage], Awaitable[Handle]]] = {
    shape.__name__: shape
    for shape in (
        answered,
        tools_side_by_side,
        tool_settled,
        model_retried,
        approved,
        conversation,
        continued_as_new,
        mcp_tools,
        mcp_server_away,
        delegated,
    )
}
