"""Which runs are sent as traces, in which order, and that each is in the end."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from kubiya_workers.contracts.executions import Status
from kubiya_workers.control_plane import tracing
from kubiya_workers.control_plane.events.log import EventLog
from kubiya_workers.control_plane.store import traces
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.observability.traces import Span, trace_id

from .test_executions import run, store


class Collector:
    """Refuses some traces for good."""

    def __init__(self, *refused: int) -> None:
        self.refused = refused
        self.asked: list[int] = []
        self.taken: list[int] = []

    def export(self, spans: Sequence[Span]) -> bool:
        self.asked.append(spans[0].trace_id)
        if spans[0].trace_id in self.refused:
            return False
        self.taken.append(spans[0].trace_id)
        return True

    def close(self) -> None: ...


async def test_traces_that_are_refused_do_not_stand_in_the_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "SWEEP_INTERVAL_S", 0.01)
    now = datetime.now(UTC)
    runs = [run(status=Status.COMPLETED, completed_at=now - timedelta(minutes=9 - number)) for number in range(5)]
    late = run(status=Status.COMPLETED, completed_at=now - tracing.LATE - timedelta(minutes=1))
    await store(database, *runs, late, run(status=Status.RUNNING))
    ids = [trace_id(made.execution.id) for made in runs]
    collector = Collector(ids[0], ids[2])
    sending = tracing.Tracing(database, EventLog(database), lambda: collector, with_content=False)
    await sending.start()
    try:
        async with asyncio.timeout(20):
            while len(collector.taken) < 3 or collector.asked.count(ids[0]) < 3:
                await asyncio.sleep(0.01)
    finally:
        await sending.close()
    assert sorted(collector.taken) == sorted([ids[1], ids[3], ids[4]]), "each once, and no others"
    async with database.reading() as connection:
        left = await traces.untraced(connection, since=now - tracing.LATE, limit=10)
    assert [execution.id for execution in left] == [runs[0].execution.id, runs[2].execution.id]
