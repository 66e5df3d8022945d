"""The event log over HTTP: appended to by workers, followed by readers.

The two hot paths, an append for each few tokens and a stream, are plain routes: resolving declared parameters costs
more than the append itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, TypeVar, cast

from fastapi import APIRouter, Query
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from kubiya_workers.contracts.appends import (
    Appended,
    AppendResult,
    AppendResults,
    PostedAppend,
    PostedAppends,
    PostedEvent,
    PostedEvents,
)
from kubiya_workers.contracts.errors import Forbidden, Invalid, NotFound, Refusal, TooLarge
from kubiya_workers.contracts.events import Connected, Delta, Fact, GapDetected, HistoryComplete, to_wire
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.contracts.problems import Problem
from kubiya_workers.contracts.wire import Wire
from kubiya_workers.launchers.serving.problems import in_words, problem_of
from kubiya_workers.observability import logs

from ..auth import check_scope
from ..deps import Anyone, ControlPlane, Plane, WorkerToken
from ..events.cursor import Cursor
from ..events.sse import Reader

MAX_BODY = 16 * 1024 * 1024
"""Bytes of one append."""

Record = Callable[[Caller, ExecutionId, Sequence[Fact | Delta]], Awaitable[Appended]]
"""`Executions.record`: the service that appends what a worker says."""

Body = TypeVar("Body", bound=Wire)

log = logs.get(__name__)

_READERS = frozenset({Scope.CLIENT, Scope.READ, Scope.WORKER})
_WRITERS = frozenset({Scope.WORKER})
_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def router(record: Record) -> APIRouter:
    """The routes, below the prefix of the API."""
    routes = APIRouter(tags=["events"])

    async def append_together(request: Request) -> Response:
        caller = await _writer(request)
        appends = _checked(PostedAppends, await _body(request)).appends
        # One after the other would commit one after the other; but a task for a few chunks, which are taken at once,
        # costs as much as taking them.
        facts = {
            at: asyncio.create_task(_outcome(record, caller, a)) for at, a in enumerate(appends) if not _is_text(a)
        }
        outcomes = [
            await (facts[at] if at in facts else _outcome(record, caller, append)) for at, append in enumerate(appends)
        ]
        return Response(AppendResults(results=tuple(outcomes)).model_dump_json(), 202, media_type="application/json")

    async def append(request: Request) -> Response:
        caller = await _writer(request)
        appended = await record(caller, _execution_id(request), posted(await _body(request)))
        return Response(appended.model_dump_json(), 202, media_type="application/json")

    async def stream(request: Request) -> Response:
        await _caller(request, _READERS)
        last = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
        cursor = Cursor.parse(last) if last else Cursor()
        reader = await Reader(_plane(request).log, _execution_id(request), cursor).open()
        if reader.has_seen_all:
            reader.close()
            return Response(status_code=204)  # tells a reader that reconnects by itself to stop
        return _EventStream(reader)

    routes.add_route("/events", append_together, methods=["POST"])
    routes.add_route("/executions/{execution_id}/events", append, methods=["POST"])
    routes.add_route("/executions/{execution_id}/stream", stream, methods=["GET"])

    @routes.get("/executions/{execution_id}/events")
    async def read(
        execution_id: ExecutionId,
        plane: Plane,
        caller: Anyone,
        after: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 500,
    ) -> list[dict[str, Any]]:
        """Stored events after a sequence number, oldest first."""
        rows = await plane.log.read(execution_id, after, limit)
        return [{"id": str(row.seq), "event": row.event.type, "data": to_wire(row.event)} for row in rows]

    @routes.get("/executions/{execution_id}/steps/{step}/result")
    async def result(execution_id: ExecutionId, step: int, plane: Plane, caller: WorkerToken) -> dict[str, Any]:
        """The fact that ended a step."""
        fact = await plane.log.step_result(execution_id, step)
        if fact is None:
            raise NotFound(f"step {step} of execution {execution_id} has not ended")
        return {"event_type": fact.type, "data": to_wire(fact)}

    return routes


class _EventStream(StreamingResponse):
    """However it ends (a reader that leaves cancels it), the reader's queue is taken down."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader.blocks(), headers=_STREAM_HEADERS, media_type="text/event-stream")
        self._reader = reader

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._reader.close()


def _is_text(append: PostedAppend) -> bool:
    return all(event.event_type.endswith("_chunk") for event in append.events)


async def _outcome(record: Record, caller: Caller, append: PostedAppend) -> AppendResult:
    """What came of one append among several: none may harm the others."""
    try:
        return AppendResult(appended=await record(caller, append.execution_id, _typed(append.events)))
    except Refusal as refusal:
        return AppendResult(problem=problem_of(refusal))
    except Exception as error:  # the HTTP edge of this append
        log.error("An append failed", error, execution_id=append.execution_id)
        return AppendResult(problem=Problem(detail="something went wrong here that should not; the log has it"))


def posted(body: bytes) -> list[Fact | Delta]:
    """The events in the body of an append: one, or `{"events": […]}`; types that are not known are skipped.

    Raises:
        Invalid: it is not that.
    """
    # The key tells the two forms apart: reading twice would double the cost of an append.
    if body.lstrip().startswith(b'{"events"'):
        return _typed(_checked(PostedEvents, body).events)
    try:
        return _typed((_checked(PostedEvent, body),))
    except Invalid:
        if b'"events"' not in body:
            raise
        return _typed(_checked(PostedEvents, body).events)


def _typed(events: Sequence[PostedEvent]) -> list[Fact | Delta]:
    try:
        typed = [event.event() for event in events]
    except ValidationError as error:
        raise Invalid(in_words(error.errors(include_url=False, include_input=False))) from None
    if any(isinstance(event, Connected | HistoryComplete | GapDetected) for event in typed):
        raise Invalid("connected, history_complete and gap_detected are said to readers, never appended")
    return cast("list[Fact | Delta]", [event for event in typed if event is not None])


def _checked(kind: type[Body], body: bytes) -> Body:
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise Invalid(in_words(error.errors(include_url=False, include_input=False))) from None


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise TooLarge(f"an append holds {MAX_BODY // 1024 // 1024} MiB at most", fix="Send fewer events at once.")
        parts.append(part)
    return b"".join(parts)


async def _writer(request: Request) -> Caller:
    caller = await _caller(request, _WRITERS)
    if caller.scope is Scope.WORKER and caller.worker_id is None:
        raise Forbidden("this key registers workers; a run's events need the token of a registered worker")
    return caller


async def _caller(request: Request, scopes: frozenset[Scope]) -> Caller:
    caller = await _plane(request).auth.authenticate(request.headers.get("authorization"))
    check_scope(caller, scopes)
    return caller


def _plane(request: Request) -> ControlPlane:
    return cast(ControlPlane, request.app.state.plane)


def _execution_id(request: Request) -> ExecutionId:
    return ExecutionId(request.path_params["execution_id"])
