"""Plans, made by the control plane's model."""

import contextlib
import json
from collections.abc import AsyncGenerator, Callable

import httpx
from pydantic import ValidationError

from kubiya_workers.contracts.plans import NewPlan, Plan, PlanComplete, PlanEvent, PlanFailed, plan_event
from kubiya_workers.contracts.problems import Problem

from .connection import TIMEOUT, Connection
from .errors import Unreachable, Unreadable, refusal_in, unreachable
from .sse import SILENCE_S, EventStreamParser, ServerSentEvent, check_stream


class Plans:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def make(self, new: NewPlan, tell: Callable[[PlanEvent], None]) -> Plan:
        """A plan; `tell` hears what happens on the way. Leaving stops the model.

        Raises:
            Refusal: it is refused, or the model made none.
            Unreachable: the stream broke off: nothing goes on behind it.
        """
        async with contextlib.aclosing(self._events(new)) as events:
            async for event in events:
                match event:
                    case PlanComplete(plan=plan):
                        return plan
                    case PlanFailed():
                        problem = Problem(detail=event.error, code=event.code, fix=event.fix)
                        raise refusal_in(problem, event.status)
                    case _:
                        tell(event)
        raise Unreachable(
            f"The control plane at {self._connection.url} broke off before the plan was made", fix="Ask for it again."
        )

    async def _events(self, new: NewPlan) -> AsyncGenerator[PlanEvent]:
        http, parser = self._connection.http, EventStreamParser()
        try:
            async with http.stream(
                "POST",
                self._connection.address("/tasks/plan/stream"),
                content=new.model_dump_json(exclude_none=True),
                headers={"Accept": "text/event-stream", "Content-Type": "application/json"},
                timeout=httpx.Timeout(SILENCE_S, connect=TIMEOUT.connect),
            ) as response:
                await check_stream(response)
                async for data in response.aiter_raw():
                    for raw in parser.feed(data):
                        if (event := _typed(raw)) is not None:
                            yield event
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unreachable(self._connection.url, error) from error


def _typed(raw: ServerSentEvent) -> PlanEvent | None:
    try:
        return plan_event(raw.event, json.loads(raw.data))
    except (ValueError, TypeError, ValidationError):
        raise Unreadable(
            f"the stream of a plan has a {raw.event!r} event that this version cannot read",
            fix="Use a client of the same version as the control plane.",
        ) from None
