"""/usage: what model calls used and cost."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query

from kubiya_workers.contracts.usage import CallReport, UsageBy, UsageSum
from kubiya_workers.control_plane.deps import Client, Plane
from kubiya_workers.control_plane.services import usage

router = APIRouter(tags=["usage"])


@router.get("/usage")
async def get_usage(
    plane: Plane,
    caller: Client,
    by: UsageBy = UsageBy.DAY,
    since: date | None = None,
    until: date | None = None,
    execution_id: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Sequence[UsageSum]:
    return await usage.report(plane.database, by, since=since, until=until, execution_id=execution_id, limit=limit)


@router.get("/usage/calls")
async def get_calls(plane: Plane, caller: Client) -> CallReport:
    """Of the gateway of this process, since it began."""
    return plane.metrics.calls()
