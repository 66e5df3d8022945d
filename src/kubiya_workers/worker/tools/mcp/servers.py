"""The connections of this worker: one for each execution and server, for as long as both need it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kubiya_workers.agent.mcp import limits_of
from kubiya_workers.contracts.activities import ServerFault, ToolListing, ToolsListed
from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.mcp import McpServer
from kubiya_workers.contracts.tools import ToolClass, ToolRequest, ToolSpec, ToolStatus, Workspace
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.observability import logs
from kubiya_workers.settings.proxies import Proxies

from ...workspaces import redactor_of
from ..call import Call, Outcome, ToolFault
from ..environment import directory_of
from ..output import LiveOutput
from . import offers
from .target import Away, Lost, Said, Target, ToolCall, target_of

if TYPE_CHECKING:
    from .connection import Connection

log = logs.get(__name__)

MIND_S = 2.0
"""How often it is looked whether runs are over and servers idle."""
_MOST_LINES = 200
"""Lines of one server's standard error that are logged."""
_LONGEST_LINE = 500

Key = tuple[ExecutionId, str]


@dataclass
class _Kept:
    """A connection, while it is made and afterwards; `calls` are under way."""

    connection: "Connection | None" = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    calls: int = 0
    used: float = field(default_factory=time.monotonic)


class Servers:
    """`base` is the worker's own environment, of which harmless names pass on. At most `most` connections are kept,
    and none of them for more than `idle_s` seconds without a call. Servers that are programs are adopted by `guard`."""

    def __init__(
        self,
        guard: Guard | None,
        *,
        base: Mapping[str, str],
        proxies: Proxies | None = None,
        most: int = 32,
        idle_s: float = 600.0,
    ) -> None:
        self._guard = guard
        self._base = base
        self._proxies = proxies or Proxies()
        self._most = most
        self._idle_s = idle_s
        self._kept: dict[Key, _Kept] = {}
        self._freed = asyncio.Event()

    async def listed(self, listing: ToolListing, workspace: Workspace) -> ToolsListed:
        """What the servers of a run offer, all asked at once. What is wrong with one is a fault, not an exception; and
        nothing secret is in it, whatever a server says, for Temporal's history keeps it."""
        asked = [self._offered(listing.execution_id, server, workspace) for server in listing.servers]
        answers = await asyncio.gather(*asked)
        faults = [answer for answer in answers if isinstance(answer, ServerFault)]
        found = [answer for answer in answers if isinstance(answer, offers.Offered)]
        try:
            specs, notes = offers.specs_of(found, listing.taken)
        except offers.Unusable as error:
            faults += [ServerFault(server=one.server, reason=str(error)) for one in found]
            specs, notes = [], []
        listed = ToolsListed(tools=tuple(specs), faults=tuple(faults), notes=tuple(notes))
        return ToolsListed.model_validate(redactor_of(workspace).body(listed.model_dump(mode="json")))

    async def _offered(
        self, execution_id: ExecutionId, server: McpServer, workspace: Workspace
    ) -> offers.Offered | ServerFault:
        try:
            limits = limits_of(server)
            target = target_of(limits, workspace, directory_of(workspace), self._base, execution_id)
            async with self._leased(
                (execution_id, server.name), target, limits.start_timeout_s, workspace
            ) as connection:
                return offers.Offered(server.name, limits, connection.offers)
        except (ToolFault, Invalid) as fault:
            return ServerFault(server=server.name, reason=str(fault), passing=isinstance(fault, Away))

    async def call(self, call: Call, request: ToolRequest, workspace: Workspace) -> Outcome:
        """One call of a server's tool; the server is started again when this worker has it no more.

        Raises:
            ToolFault: it cannot be reached, or refuses the call.
        """
        server = request.server
        if server is None:
            raise ToolFault(f"The MCP server of {request.tool!r} is not known any more.")
        limits = limits_of(server)
        target = target_of(limits, workspace, call.directory, self._base, request.execution_id)
        try:
            async with (
                asyncio.timeout(call.spec.timeout_s),
                self._leased(
                    (request.execution_id, server.name), target, limits.start_timeout_s, workspace
                ) as connection,
            ):
                return await _called(connection, call)
        except TimeoutError:
            return _unknown(call.spec, f"it did not answer within {call.spec.timeout_s:g} s", {"timed_out": True})
        except Lost as lost:
            return _unknown(call.spec, f"MCP server {server.name!r} was lost during the call: {lost}", {})
        except ToolFault as fault:
            raise ToolFault(f"MCP server {server.name!r}: {fault}") from None

    async def mind(self, is_over: Callable[[ExecutionId], Awaitable[bool]]) -> None:
        """For ever, end what belongs to runs that are over and what nobody calls."""
        while True:
            await asyncio.sleep(MIND_S)
            for execution_id in {execution_id for execution_id, _ in self._kept}:
                if await is_over(execution_id):
                    await self.end(execution_id)
            for key, kept in list(self._kept.items()):
                if not kept.calls and time.monotonic() - kept.used > self._idle_s:
                    await self._drop(key, kept)

    async def end(self, execution_id: ExecutionId) -> None:
        """A run is over: end its servers."""
        await asyncio.gather(*(self._drop(key, kept) for key, kept in self._of(execution_id)))

    async def close(self) -> None:
        """End all servers; returns when none is left."""
        await asyncio.gather(*(self._drop(key, kept) for key, kept in list(self._kept.items())))

    def _of(self, execution_id: ExecutionId) -> list[tuple[Key, _Kept]]:
        return [(key, kept) for key, kept in self._kept.items() if key[0] == execution_id]

    @contextlib.asynccontextmanager
    async def _leased(
        self, key: Key, target: Target, within: float, workspace: Workspace
    ) -> AsyncGenerator["Connection"]:
        """The connection of a run to a server, made when there is none. One that was cancelled in the middle of a
        call, did not answer in time or was lost is ended: who comes next gets another.

        Raises:
            ToolFault: the server does not start within so many seconds.
        """
        kept = await self._taken(key)
        try:
            connection = await self._opened(key, kept, target, within, workspace)
            try:
                yield connection
            except ToolFault:
                raise
            except BaseException:
                # Other calls to it go on, unless they have lost it too.
                if kept.calls == 1 or not connection.is_open:
                    await self._drop(key, kept)
                raise
        finally:
            kept.calls -= 1
            kept.used = time.monotonic()
            self._freed.set()

    async def _taken(self, key: Key) -> _Kept:
        """The place of a connection, counted as in use; when all are taken, that of the one that was idle longest."""
        while key not in self._kept and len(self._kept) >= self._most:
            idle = [(kept.used, other) for other, kept in self._kept.items() if not kept.calls]
            if idle:
                _, other = min(idle)
                await self._drop(other, self._kept[other])
            else:
                self._freed.clear()
                await self._freed.wait()
        kept = self._kept.setdefault(key, _Kept())
        kept.calls += 1
        return kept

    async def _opened(self, key: Key, kept: _Kept, target: Target, within: float, workspace: Workspace) -> "Connection":
        async with kept.lock:
            if kept.connection is not None and kept.connection.is_open:
                return kept.connection
            if self._kept.get(key) is not kept:
                raise ToolFault("it was ended, with its run")
            dead, kept.connection = kept.connection, None
            if dead is not None:
                await dead.close()
            try:
                kept.connection = await self._connected(key, target, within, workspace)
            except BaseException:
                await self._drop(key, kept)
                raise
            if self._kept.get(key) is not kept:
                await self._drop(key, kept)
                raise ToolFault("it was ended, with its run")
            return kept.connection

    async def _connected(self, key: Key, target: Target, within: float, workspace: Workspace) -> "Connection":
        connect = await asyncio.to_thread(_sdk)
        connection = connect(target, self._guard, self._proxies, _Log(key, workspace))
        try:
            await connection.open(within)
        except BaseException:
            await connection.close()
            raise
        log.info("MCP server connected", server=key[1], execution_id=key[0], tools=len(connection.offers))
        return connection

    async def _drop(self, key: Key, kept: _Kept) -> None:
        if self._kept.get(key) is kept:
            del self._kept[key]
        connection, kept.connection = kept.connection, None
        if connection is not None:
            await connection.close()
        self._freed.set()


def _sdk() -> Callable[[Target, Guard | None, Proxies, Said], "Connection"]:
    """Imported here, since it costs 30 MB and most of a second."""
    from .connection import connect

    return connect


async def _called(connection: "Connection", call: Call) -> Outcome:
    live = LiveOutput(call.spec.output_limit, call.on_output)
    asked = ToolCall(
        name=str(call.spec.config["tool"]),
        arguments=call.arguments,
        idempotency_key=call.idempotency_key,
        room=call.spec.output_limit,
        on_progress=lambda text: live.feed(text.encode()),
    )
    return await connection.call(asked)


def _unknown(spec: ToolSpec, reason: str, output: dict[str, object]) -> Outcome:
    """A call whose answer never came: one that may be run once only is not said to have failed."""
    if spec.tool_class is not ToolClass.ONCE:
        return Outcome(f"The call failed: {reason}. It may be made again.", output, ToolStatus.FAILED, reason)
    said = f"The outcome of this call is unknown: {reason}. It may or may not have taken effect. "
    return Outcome(f"{said}Check before you repeat it.", output, ToolStatus.UNKNOWN, f"outcome unknown: {reason}")


class _Log:
    """What a server prints beside the protocol goes into the worker's log: bounded, and without the run's secrets."""

    def __init__(self, key: Key, workspace: Workspace) -> None:
        self._said = log.bind(server=key[1], execution_id=key[0])
        self._redactor = redactor_of(workspace)
        self._left = _MOST_LINES

    def __call__(self, line: str) -> None:
        self._left -= 1
        if self._left >= 0:
            self._said.info("MCP server says", line=offers.clean(self._redactor.text(line), _LONGEST_LINE))
        elif self._left == -1:
            self._said.warning("MCP server says more, which is not logged", after=_MOST_LINES)
