"""The event log as its writers reach it, and the rule by which readers drop superseded attempts."""

from collections.abc import Sequence
from typing import cast

import httpx
from pydantic_core import to_json

from kubiya_workers.contracts.appends import Appended, AppendResult, AppendResults, PostedEvent
from kubiya_workers.contracts.errors import REFUSALS, Refusal
from kubiya_workers.contracts.events import Delta, Fact, Marker, to_wire
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.problems import Problem

from .errors import refusal_of, unreachable
from .paths import part

_JSON = {"Content-Type": "application/json"}


async def append(http: httpx.AsyncClient, execution_id: ExecutionId, events: Sequence[Fact | Delta]) -> Appended:
    """Post events in order; `http` knows the control plane's address and the key. Facts are durable on return.

    Raises:
        Refusal: Conflict for a stale attempt or a run that is over; `Unreachable` when no answer came.
    """
    posted = [{"event_type": event.type, "data": to_wire(event)} for event in events]
    path = f"/api/v1/executions/{part(execution_id)}/events"
    try:
        response = await http.post(path, content=to_json({"events": posted}), headers=_JSON)
    except httpx.HTTPError as error:
        raise unreachable(str(http.base_url), error) from error
    if response.status_code >= 400:
        raise refusal_of(response)
    return Appended.model_validate_json(response.content)


def encoded(execution_id: ExecutionId, events: Sequence[Fact | Delta]) -> bytes:
    """The events of one execution as `append_together` sends them."""
    posted = [{"event_type": event.type, "data": to_wire(event)} for event in events]
    return to_json({"execution_id": execution_id, "events": posted})


async def append_together(http: httpx.AsyncClient, appends: Sequence[bytes]) -> list[Appended | Refusal]:
    """Post the events of several executions, each `encoded`; the answer or the refusal of each, in order.

    Raises:
        Refusal: the request as a whole was refused; `Unreachable` when no answer came.
    """
    try:
        response = await http.post(
            "/api/v1/events", content=b'{"appends":[' + b",".join(appends) + b"]}", headers=_JSON
        )
    except httpx.HTTPError as error:
        raise unreachable(str(http.base_url), error) from error
    if response.status_code >= 400:
        raise refusal_of(response)
    return [_outcome(result) for result in AppendResults.model_validate_json(response.content).results]


def _outcome(result: AppendResult) -> Appended | Refusal:
    if result.appended is not None:
        return result.appended
    problem = result.problem or Problem(detail="the control plane did not say why")
    refusal = REFUSALS.get(problem.status, Refusal)(problem.detail, fix=problem.fix)
    refusal.status = problem.status
    return refusal


async def step_result(http: httpx.AsyncClient, execution_id: ExecutionId, step: int) -> Fact | None:
    """The stored fact that ended a step, or None while it has not ended.

    Raises:
        Refusal: as the control plane answered; `Unreachable` when no answer came.
    """
    try:
        response = await http.get(f"/api/v1/executions/{part(execution_id)}/steps/{step}/result")
    except httpx.HTTPError as error:
        raise unreachable(str(http.base_url), error) from error
    if response.status_code == 404:
        return None
    if response.status_code >= 400:
        raise refusal_of(response)
    return cast("Fact | None", PostedEvent.model_validate_json(response.content).event())


class Supersede:
    """Drops the events of attempts that a higher attempt of the same step has superseded.

    `keep` is asked for each event in order. What was shown of a lower attempt before is the caller's to withdraw:
    `attempt(step)` before and after tells when.
    """

    def __init__(self) -> None:
        self._highest: dict[int, int] = {}

    def attempt(self, step: int) -> int:
        """The highest attempt of a step that was seen, 0 for none."""
        return self._highest.get(step, 0)

    def keep(self, event: Fact | Delta | Marker) -> bool:
        step = getattr(event, "step", 0)
        if step == 0:
            return True
        attempt: int = getattr(event, "attempt", 1)
        if attempt < self.attempt(step):
            return False
        self._highest[step] = attempt
        return True
