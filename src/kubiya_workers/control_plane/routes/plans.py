"""/tasks/plan: a plan for a prompt, at its end or as it is made. Whoever leaves stops the model that makes it."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.plans import (
    NewPlan,
    Plan,
    PlanAnswer,
    PlanComplete,
    PlanEvent,
    PlanFailed,
    PlanThinking,
)

from ..deps import Client
from ..events.sse import KEEPALIVE, KEEPALIVE_S
from ..planning.planner import Planner, Planning

T = TypeVar("T")

_CLIENT_LEFT = 499
"""What servers write down for a client that left; nobody reads it."""


def router(planner: Planner) -> APIRouter:
    """The routes, working on this service."""
    routes = APIRouter(prefix="/tasks", tags=["plans"])

    @routes.post("/plan", response_model=PlanAnswer)
    async def plan(request: Request, new: NewPlan, caller: Client) -> Any:
        planning = await planner.begin(caller, new)
        made = await _while_connected(request, planning.plan(lambda _: None))
        return Response(status_code=_CLIENT_LEFT) if made is None else PlanAnswer(plan=made)

    @routes.post("/plan/stream")
    async def stream(new: NewPlan, caller: Client) -> Response:
        return _PlanStream(_Making(await planner.begin(caller, new)))

    return routes


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """What comes of the work; None when the client left meanwhile, which cancels it."""
    task, left = asyncio.create_task(work), asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        await _ended(task, left)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class _Making:
    """A plan that is made, and what is to be told of it; pieces of reasoning that wait are joined."""

    def __init__(self, planning: Planning) -> None:
        self._waiting: list[PlanEvent] = []
        self._news = asyncio.Event()
        self._task = asyncio.create_task(planning.plan(self._tell), name="plan")
        self._task.add_done_callback(lambda _: self._news.set())

    async def blocks(self) -> AsyncGenerator[bytes]:
        while not self._task.done() or self._waiting:
            try:
                async with asyncio.timeout(KEEPALIVE_S):
                    await self._news.wait()
            except TimeoutError:
                yield KEEPALIVE
                continue
            self._news.clear()
            told, self._waiting = self._waiting, []
            if told:
                yield b"".join(map(_encoded, told))
        yield _encoded(_closing(self._task))

    async def close(self) -> None:
        await _ended(self._task)

    def _tell(self, event: PlanEvent) -> None:
        last = self._waiting[-1] if self._waiting else None
        if isinstance(event, PlanThinking) and isinstance(last, PlanThinking):
            self._waiting[-1] = PlanThinking(content=last.content + event.content)
        else:
            self._waiting.append(event)
        self._news.set()


class _PlanStream(StreamingResponse):
    """However it ends (a reader that leaves cancels it), the making ends with it."""

    def __init__(self, making: _Making) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(making.blocks(), headers=headers, media_type="text/event-stream")
        self._making = making

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._making.close()


def _closing(task: "asyncio.Task[Plan]") -> PlanEvent:
    try:
        return PlanComplete(plan=task.result())
    except Refusal as refusal:
        return PlanFailed(error=refusal.detail, code=refusal.code, status=refusal.status, fix=refusal.fix)


def _encoded(event: PlanEvent) -> bytes:
    return f"event: {event.type}\ndata: {event.model_dump_json()}\n\n".encode()
