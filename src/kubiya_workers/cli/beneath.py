"""The runs of a team's members, followed beneath the team's own."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.events import Delta, Done, Fact, Marker, ToolCompleted, ToolStarted

from .render.renderer import Renderer

_LAST_WORDS_S = 1.0


class Beneath:
    """Told of each event of the team's run, before and after it is shown."""

    def __init__(self, cp: ControlPlaneClient, renderer: Renderer) -> None:
        self._cp = cp
        self._renderer = renderer
        self._followed: dict[str, asyncio.Task[None]] = {}

    async def before(self, event: Fact | Delta | Marker) -> None:
        """What a member said last comes before what the team's run says of its end."""
        if isinstance(event, ToolCompleted) and (task := self._followed.get(event.tool_execution_id)):
            await asyncio.wait({task}, timeout=_LAST_WORDS_S)

    def after(self, event: Fact | Delta | Marker) -> None:
        if isinstance(event, ToolStarted) and event.member_execution_id and self._renderer.shows_members:
            self._followed[event.tool_execution_id] = asyncio.create_task(self._follow(event), name="member")

    async def close(self) -> None:
        for task in self._followed.values():
            task.cancel()
        await asyncio.gather(*self._followed.values(), return_exceptions=True)

    async def _follow(self, started: ToolStarted) -> None:
        stream = self._cp.executions.stream(str(started.member_execution_id))
        with contextlib.suppress(Refusal):  # the team's own run says what matters
            async with contextlib.aclosing(stream) as events:
                async for _, event in events:
                    self._renderer.member(started, event)
                    if isinstance(event, Done):
                        return


@contextlib.asynccontextmanager
async def beneath(cp: ControlPlaneClient, renderer: Renderer) -> AsyncGenerator[Beneath]:
    """While the context lasts."""
    members = Beneath(cp, renderer)
    try:
        yield members
    finally:
        await members.close()
