"""One connected server. A task of its own holds the SDK's client: what that opens must be closed by the same task."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Protocol, cast

import mcp_types as types
from mcp import Client
from mcp.client import Transport
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter, ValidationError

from kubiya_workers import __version__
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.settings.proxies import Proxies

from ..call import Outcome, ToolFault
from .answers import outcome_of
from .endpoint import EndpointLink
from .offers import MOST_TOOLS, Offer, clean
from .program import ProgramLink
from .target import Away, Lost, Program, Said, Target, ToolCall

# Their lines quote what servers say, which nobody has redacted; what matters of it is in our own errors.
for _name in ("mcp", "client", "httpx2", "httpcore2"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

IDEMPOTENCY_KEY = "kubiya/idempotency-key"
"""In the `_meta` of a call: the same for every attempt of it."""
_LISTED = 4 * MOST_TOOLS
"""Tools of one server that are looked at, the allow-list applied later."""
_PAGES = 64
_CLOSE_S = 4.0
"""How long a server may take to end before it is killed, or left."""
_LONGEST_REASON = 500
_RESULT: TypeAdapter[types.CallToolResult | types.InputRequiredResult] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)


class Link(Transport, Protocol):
    """A transport that knows when it has ended, and can say what went wrong with it; `is_away`: that it may pass."""

    ended: asyncio.Event

    @property
    def is_away(self) -> bool: ...

    def problem(self) -> Awaitable[str]: ...


def connect(target: Target, guard: Guard | None, proxies: Proxies, said: Said) -> "Connection":
    """A connection to a server, still to be opened; `said` gets what a program prints beside the protocol."""
    link = ProgramLink(target, guard, said) if isinstance(target, Program) else EndpointLink(target, proxies)
    return Connection(link)


class Connection:
    """A server that was asked what it offers (`offers`), and can be called until it is closed or has ended."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._closing = asyncio.Event()
        self._client: Client | None = None
        self._task: asyncio.Task[None] | None = None
        self.offers: tuple[Offer, ...] = ()

    @property
    def is_open(self) -> bool:
        return self._client is not None and not self._link.ended.is_set()

    async def open(self, within: float) -> None:
        """Connect, and ask what there is.

        Raises:
            ToolFault: the server does not start, does not answer within so many seconds, or not as it should. It is
                still to be closed, as after any other failure.
        """
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._live(ready), name="mcp-connection")
        awaited = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait({awaited, self._task}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if ready.is_set():
                return
            why = f"it did not say within {within:g} s which tools it has"
            reason = await self._because(_said(_error_of(self._task)) if self._task.done() else why)
        finally:
            awaited.cancel()
        raise Away(reason) if self._link.is_away else ToolFault(reason)

    async def call(self, asked: ToolCall) -> Outcome:
        """One call. When it is cancelled, the server is told so.

        Raises:
            Lost: the connection ended first.
            ToolFault: the server refuses the call, or answers what is none.
        """
        assert self._client is not None and self._task is not None, "open() first"
        calling = asyncio.ensure_future(self._send(self._client, asked))
        try:
            await asyncio.wait({calling, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not calling.done():
                calling.cancel()
                await asyncio.gather(calling, return_exceptions=True)
        if calling.cancelled():
            raise Lost(await self._because("the connection ended"))
        return outcome_of(await self._answer(calling), asked.room)

    async def close(self) -> None:
        """End the connection, and the server if it is a program; returns when that is done."""
        self._closing.set()
        if self._task is None:
            return
        _, pending = await asyncio.wait({self._task}, timeout=_CLOSE_S)
        for task in pending:
            task.cancel()  # a server that is called need not answer that we leave
        await asyncio.gather(self._task, return_exceptions=True)

    async def _live(self, ready: asyncio.Event) -> None:
        info = types.Implementation(name="kubiya", version=__version__)
        client = Client(self._link, cache=None, client_info=info)
        connecting = asyncio.current_task()
        assert connecting is not None
        # To close while it connects is to cancel that; afterwards, leaving the context is enough.
        watch = asyncio.create_task(self._cancel_on_close(connecting))
        try:
            async with client:
                self.offers = await _offers(client)
                watch.cancel()
                self._client = client
                ready.set()
                await self._until_over()
        finally:
            watch.cancel()
            self._client = None

    async def _cancel_on_close(self, connecting: asyncio.Task[None]) -> None:
        await self._closing.wait()
        connecting.cancel()

    async def _until_over(self) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._closing, self._link.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    async def _send(self, client: Client, asked: ToolCall) -> types.CallToolResult | types.InputRequiredResult:
        async def progressed(progress: float, total: float | None, message: str | None) -> None:
            of_total = "" if total is None else f"/{total:g}"
            asked.on_progress(f"{clean(message or 'progress', 500)} {progress:g}{of_total}\n")

        params = types.CallToolRequestParams(
            name=asked.name, arguments=asked.arguments, _meta=cast(Any, {IDEMPOTENCY_KEY: asked.idempotency_key})
        )
        return await client.session.send_request(
            types.CallToolRequest(params=params), _RESULT, progress_callback=progressed
        )

    async def _answer(
        self, calling: "asyncio.Future[types.CallToolResult | types.InputRequiredResult]"
    ) -> types.CallToolResult:
        match calling.exception():
            case None:
                result = calling.result()
            case MCPError(error=types.ErrorData(code=code)) as error if code != types.CONNECTION_CLOSED:
                raise ToolFault(await self._because(_said(error)))
            case ValidationError() as error:
                raise ToolFault(f"its answer is not as the protocol has it: {_said(error)}")
            case error:
                # Whatever a transport raises, the call was on its way.
                raise Lost(await self._because(_said(error)))
        if isinstance(result, types.InputRequiredResult):
            raise ToolFault("it asks for input by a person in the middle of a call, which is not supported here")
        return result

    async def _because(self, reason: str) -> str:
        problem = await self._link.problem()
        if problem.rstrip(".").endswith(reason.rstrip(".")):
            return problem
        return f"{reason}; {problem}" if problem else reason


async def _offers(client: Client) -> tuple[Offer, ...]:
    """All that the server lists, page by page.

    Raises:
        ToolFault: it does not come to an end.
    """
    found: list[Offer] = []
    cursor: str | None = None
    for _ in range(_PAGES):
        page = await client.session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
        found.extend(map(_offer, page.tools))
        cursor = page.next_cursor
        if cursor is None and len(found) <= _LISTED:
            return tuple(found)
        if len(found) > _LISTED:
            break
    raise ToolFault(f"it lists more than {_LISTED} tools")


def _offer(tool: types.Tool) -> Offer:
    hints = tool.annotations
    return Offer(
        name=tool.name,
        description=tool.description or tool.title or "",
        schema=tool.input_schema,
        reads_only=bool(hints and hints.read_only_hint),
        idempotent=bool(hints and hints.idempotent_hint),
    )


def _error_of(task: asyncio.Task[None]) -> BaseException:
    """What a task that ended came to grief on first, out of the groups that task groups raise."""
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    while isinstance(error, BaseExceptionGroup):
        parts = cast("BaseExceptionGroup[BaseException]", error).exceptions
        error = next((part for part in parts if not isinstance(part, asyncio.CancelledError)), parts[0])
    return error or Lost("the connection ended")


def _said(error: BaseException) -> str:
    """An error in one bounded line."""
    match error:
        case MCPError() if error.error.code == types.CONNECTION_CLOSED:
            text = "the connection ended before it answered"
        case MCPError():
            text = f"it answers: {error.error.message}"
        case ValidationError():
            first = error.errors(include_url=False, include_input=False)[0]
            text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        case _:
            text = str(error) or type(error).__name__
    return clean(" ".join(text.split()), _LONGEST_REASON)
