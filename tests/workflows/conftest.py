"""A real Temporal server, and a worker whose activities are played by a script."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker

from kubiya_workers.contracts.activities import (
    ANNOUNCE,
    CALL_MODEL,
    CALL_TOOL,
    DELEGATE,
    EXECUTION_WORKFLOW,
    LIST_TOOLS,
    SETTLE_TOOL,
    Announcement,
    MemberRequest,
    ModelCall,
    ModelReply,
    Settlement,
    ToolListing,
    ToolsListed,
)
from kubiya_workers.contracts.agents import AgentSpec
from kubiya_workers.contracts.events import Delta, Fact, StatusChanged
from kubiya_workers.contracts.executions import RunOutcome, RunStart
from kubiya_workers.contracts.ids import ExecutionId, QueueId, WorkerId
from kubiya_workers.contracts.messages import AssistantMessage, ToolCall
from kubiya_workers.contracts.tools import ToolRequest, ToolResult, ToolSpec, ToolStatus
from kubiya_workers.contracts.workers import Registered
from tests.ports import free_port

from .sandbox import SANDBOX

MEMBER = AgentSpec(
    name="member", model="m", tools=(ToolSpec(name="once", skill="shell", description="once", parameters={}),)
)


@pytest.fixture(scope="session")
def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server in memory for all tests of a process."""
    port = free_port()
    binary = Path(sys.executable).with_name("temporal")
    command = [binary, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
    log = (tmp_path_factory.mktemp("temporal") / "server.log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture
async def client(temporal_address: str) -> Client:
    deadline = time.monotonic() + 20
    while True:
        try:
            return await Client.connect(temporal_address, data_converter=pydantic_data_converter)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)


def registered(host: str) -> Registered:
    return Registered(
        worker_id=WorkerId("w"),
        worker_token="t",
        task_queue_name="proxied",
        temporal_namespace="default",
        temporal_host=host,
        control_plane_url="http://127.0.0.1:1",
        heartbeat_interval=30,
        litellm_api_url="http://127.0.0.1:1",
        litellm_api_key="t",
        queue_name="proxied",
        environment_name="default",
        queue_id=QueueId("q"),
    )


def says(text: str) -> ModelReply:
    return ModelReply(message=AssistantMessage(content=text), model="m")


def calls(*names: str) -> ModelReply:
    wanted = tuple(ToolCall(id=f"call-{place}-{name}", name=name, arguments="{}") for place, name in enumerate(names))
    return ModelReply(message=AssistantMessage(tool_calls=wanted), model="m")


def delegates(**tasks: str) -> ModelReply:
    """A coordinator's reply that gives these members their tasks."""
    wanted = tuple(
        ToolCall(id=f"call-{member}", name="delegate", arguments=json.dumps({"member": member, "task": task}))
        for member, task in tasks.items()
    )
    return ModelReply(message=AssistantMessage(tool_calls=wanted), model="m")


Reply = ModelReply | Exception | Callable[[ModelCall], Awaitable[ModelReply]]


@dataclass
class Script:
    """The activities of a run: model replies in order (an exception is raised), and what a tool does.

    `members` are the replies to the members of a team, in the order in which they ask; `refuse` raises where a member's
    run cannot be had.
    """

    replies: list[Reply]
    tool: Callable[[ToolRequest], Awaitable[ToolResult]] | None = None
    listed: ToolsListed | Exception = field(default_factory=ToolsListed)
    listings: list[ToolListing] = field(default_factory=list[ToolListing])
    members: list[Reply] = field(default_factory=list[Reply])
    refuse: Callable[[MemberRequest], Awaitable[None]] | None = None
    delegations: list[MemberRequest] = field(default_factory=list[MemberRequest])
    stored: list[RunStart] = field(default_factory=list[RunStart])
    model_calls: list[ModelCall] = field(default_factory=list[ModelCall])
    tool_requests: list[ToolRequest] = field(default_factory=list[ToolRequest])
    settlements: list[Settlement] = field(default_factory=list[Settlement])
    announced: list[Fact | Delta] = field(default_factory=list[Fact | Delta])

    @activity.defn(name=CALL_MODEL)
    async def call_model(self, call: ModelCall) -> ModelReply:
        self.model_calls.append(call)
        of_member = any(member.execution_id == call.execution_id for member in self.stored)
        reply = (self.members if of_member else self.replies).pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, ModelReply) else await reply(call)

    @activity.defn(name=CALL_TOOL)
    async def call_tool(self, request: ToolRequest) -> ToolResult:
        self.tool_requests.append(request)
        if self.tool:
            return await self.tool(request)
        return self._result(request, ToolStatus.SUCCESS, "ok")

    @activity.defn(name=LIST_TOOLS)
    async def list_tools(self, listing: ToolListing) -> ToolsListed:
        self.listings.append(listing)
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed

    @activity.defn(name=SETTLE_TOOL)
    async def settle_tool(self, settlement: Settlement) -> ToolResult:
        self.settlements.append(settlement)
        return self._result(settlement.request, settlement.outcome, settlement.why)

    @activity.defn(name=DELEGATE)
    async def delegate(self, request: MemberRequest) -> RunStart:
        if self.refuse:
            await self.refuse(request)
        self.delegations.append(request)
        asked = request.delegation
        agent = MEMBER.model_copy(update={"name": asked.member, "limits": asked.limits})
        self.stored.append(RunStart(execution_id=ExecutionId(str(uuid.uuid4())), agent=agent, prompt=asked.task))
        return self.stored[-1]

    @activity.defn(name=ANNOUNCE)
    async def announce(self, announcement: Announcement) -> None:
        self.announced.extend(announcement.events)

    @staticmethod
    def _result(request: ToolRequest, status: ToolStatus, content: str) -> ToolResult:
        return ToolResult(call_id=request.call_id, tool=request.tool, status=status, content=content)

    def statuses(self) -> list[str]:
        return [event.status for event in self.announced if isinstance(event, StatusChanged)]


@dataclass
class Stage:
    """Where a script is played."""

    client: Client

    @contextlib.asynccontextmanager
    async def playing(
        self, script: Script, agent: AgentSpec, *, interactive: bool = False, handover_events: int | None = None
    ) -> AsyncIterator[WorkflowHandle[object, RunOutcome]]:
        """A started run, with a worker that serves it while the context lasts."""
        queue, execution_id = f"test-{uuid.uuid4()}", ExecutionId(str(uuid.uuid4()))
        bodies = [
            script.call_model,
            script.call_tool,
            script.settle_tool,
            script.list_tools,
            script.delegate,
            script.announce,
        ]
        run = RunStart(
            execution_id=execution_id,
            agent=agent,
            prompt="do it",
            interactive=interactive,
            handover_events=handover_events,
        )
        from kubiya_workers.workflows.execution import ExecutionWorkflow

        async with Worker(
            self.client,
            task_queue=queue,
            workflows=[ExecutionWorkflow],
            activities=bodies,
            workflow_runner=SANDBOX,
            max_heartbeat_throttle_interval=timedelta(milliseconds=200),  # cancels are heard with beats
        ):
            yield await self.client.start_workflow(
                EXECUTION_WORKFLOW, run, id=execution_id, task_queue=queue, result_type=RunOutcome
            )

    async def outcome(self, script: Script, agent: AgentSpec, **options: int) -> RunOutcome:
        async with self.playing(script, agent, **options) as handle:
            return await asyncio.wait_for(handle.result(), 30)


@pytest.fixture
def stage(client: Client) -> Stage:
    return Stage(client)
