"""What is wrong, in words; and what can be asked of a worker."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubiya_workers import __version__
from kubiya_workers.console import pool
from kubiya_workers.console.contact import EVERY_S, LIMIT_S, Contacts, ControlPlane
from kubiya_workers.console.live import LiveView, backlogs, notices
from kubiya_workers.console.target import Target
from kubiya_workers.contracts.console import Connection, ConnectionState, PoolWorker, ProxyRecord
from kubiya_workers.contracts.pool import Pause, Record, WorkerReport
from kubiya_workers.contracts.queues import QueueBacklog
from kubiya_workers.contracts.workers import Action, Worker
from kubiya_workers.launchers.guard import start_time
from kubiya_workers.launchers.litellm.refusing import STOPPED
from kubiya_workers.launchers.upkeep import listing, records
from kubiya_workers.settings.paths import Paths

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
FINE = Connection(url="http://cp", state=ConnectionState.CONNECTED, since=NOW, authentication="a key")


def record(state: str = "running", **changes: Any) -> Record:
    here = {"pid": os.getpid(), "start": start_time(os.getpid())}
    fields = {"queue": "q", "mode": "daemon", "state": state, "supervisor": here, "worker": here, "log": "l"}
    fields |= {"control_plane_url": "u", "started_with": {"cwd": "/", "max_log_size": 1, "max_log_backups": 1}}
    return Record.model_validate({**fields, "version": __version__, "started_at": NOW, "updated_at": NOW, **changes})


def report(**changes: Any) -> WorkerReport:
    fields = {"queue": "q", "hostname": "h", "pid": 1, "version": "1", "status": "active", "ready": True}
    fields |= {"taking": True, "started_at": NOW, "uptime_s": 1.0, "control_plane_url": "u"}
    slots = {"activities": {"total": 1}, "workflows": {"total": 1}}
    return WorkerReport.model_validate({**fields, **slots, **changes})


def litellm(state: str, reason: str | None = None) -> ProxyRecord:
    here = {"pid": os.getpid(), "start": start_time(os.getpid())}
    return ProxyRecord.model_validate({"owner": here, "state": state, "reason": reason, "url": "http://127.0.0.1:1"})


def worker(found: Record, said: WorkerReport | None = None) -> PoolWorker:
    return PoolWorker(key=found.queue, listed=listing.here(found, said), record=found, report=said)


def test_nothing_is_said_when_nothing_is_wrong() -> None:
    assert notices(FINE, (worker(record(), report()),), {}) == ()


def test_each_thing_that_is_wrong_has_a_sentence_and_a_remedy() -> None:
    unwell = FINE.model_copy(update={"checks": {"temporal": "gone", "database": None}})
    waits = report(ready=False, reason=f"{STOPPED}; start it")
    cases = [
        (notices(unwell, (worker(record(), report()),), {}), "temporal is not well: gone"),
        (notices(FINE, (worker(record("crash-looping", reason="it died")),), {}), "crash-looping: it died"),
        (notices(FINE, (worker(record(), report(ready=False, reason="deaf")),), {}), "not ready: deaf"),
        (notices(FINE, (), {}), "No worker runs"),
        (notices(FINE, (worker(record("stopped")),), {}), "No worker runs"),
    ]
    cases += [
        (notices(FINE, (worker(record(), report()),), {"server": litellm("stopped")}), "control plane was stopped"),
        (notices(FINE, (worker(record(), report()),), {"worker/q": litellm("failed", "no")}), "does not start: no"),
        (notices(FINE, (worker(record(), waits),), {"worker/q": litellm("stopped")}), "takes no work until"),
    ]
    lonely = (QueueBacklog(queue="far", executions=2, has_worker=False),)
    busy = (QueueBacklog(queue="q", executions=9, has_worker=True),)
    ours = (worker(record(), report()),)
    cases.append((notices(FINE, ours, {}, (*lonely, *busy)), "2 executions wait in queue far, and no worker polls it"))
    for said, words in cases:
        assert len(said) == 1 and words in said[0].text and said[0].remedy, words


def test_what_waits_is_told_of_every_queue_once() -> None:
    remote = [
        QueueBacklog(queue="far", executions=2, has_worker=False),
        QueueBacklog(queue="q", executions=3, has_worker=True),
    ]
    assert backlogs(remote, [worker(record(), report(backlog=7))]) == {"far": 2, "q": 7}
    assert backlogs(remote, [worker(record(), None)]) == {"far": 2, "q": 3}


@pytest.mark.parametrize(
    ("state", "paused", "expected"),
    [
        ("running", False, {Action.PAUSE, Action.DRAIN, Action.RESTART}),
        ("running", True, {Action.RESUME, Action.DRAIN, Action.RESTART}),
        ("restarting", False, {Action.PAUSE, Action.DRAIN}),
        ("stopping", False, set()),
        ("stopped", False, set()),
        ("stopped", True, {Action.RESUME}),
    ],
)
def test_what_can_be_asked_of_a_worker(state: str, paused: bool, expected: set[Action]) -> None:
    pause = Pause(since=NOW) if paused else None
    said = report() if state == "running" else None
    assert set(pool.actions(record(state), said, pause)) == expected


def test_those_elsewhere_are_not_ours_nor_long_gone() -> None:
    fields = {"queue_id": "1", "queue_name": "q", "environment_id": "e", "registered_at": NOW, "last_heartbeat": NOW}

    def known(worker_id: str, **changes: Any) -> Worker:
        return Worker.model_validate({"id": worker_id, "status": "active", "hostname": "far", **fields, **changes})

    ours = [worker(record(worker_id="mine"), report())]
    old = NOW - timedelta(days=1)
    others = [
        known("mine"),
        known("far-1"),
        known("before", hostname="h", status="disconnected"),
        known("old", status="lost", last_heartbeat=old),
    ]
    found = pool.elsewhere(others, ours, NOW)
    assert [told.key for told in found] == ["far-1"] and found[0].actions == ()


async def test_that_the_control_plane_went_is_told_at_once_whatever_the_workers_do(tmp_path: Path) -> None:
    assert EVERY_S + LIMIT_S < 4, "with what a page needs to hear and draw it, pages keep their promise of 5 s"
    plane = ControlPlane(Target(Paths(tmp_path), "http://127.0.0.1:1", "key", embedded=False))
    live = LiveView(pool.ThisMachine(Paths(tmp_path)), plane, asyncio.Event())
    looking, changes = asyncio.create_task(live.forever()), live.changes()
    first = await asyncio.wait_for(anext(changes), 10)
    assert first is not None and first.connection.state is ConnectionState.CONNECTING
    looking.cancel()  # as if a worker took its time to say how it is
    await live.contacts.ask()
    told = await asyncio.wait_for(anext(changes), 10)
    assert told is not None and told.connection.state is ConnectionState.LOST and told.workers == first.workers
    await plane.close()


async def test_a_control_plane_that_is_away_is_said_to_be_and_asked_again(tmp_path: Path) -> None:
    plane = ControlPlane(Target(Paths(tmp_path), "http://127.0.0.1:1", "key", embedded=False))
    told: list[None] = []
    contacts = Contacts(plane, on_change=lambda: told.append(None))
    await contacts.ask()
    await contacts.ask()
    assert contacts.connection.state is ConnectionState.LOST and contacts.connection.reconnects == 0
    assert len(contacts.connection.samples) == 2 and contacts.connection.samples[-1].error and len(told) == 2
    embedded = ControlPlane(Target(Paths(tmp_path), "http://127.0.0.1:1", "key", embedded=True))
    asked = Contacts(embedded, on_change=lambda: None)
    await asked.ask()
    assert "does not run" in (asked.connection.samples[-1].error or "")
    await plane.close()


async def test_a_snapshot_comes_at_once_and_ends_with_the_process(tmp_path: Path) -> None:
    paths, over = Paths(tmp_path), asyncio.Event()
    records.write(paths, record())
    live = LiveView(
        pool.ThisMachine(paths), ControlPlane(Target(paths, "http://127.0.0.1:1", "key", embedded=False)), over
    )
    looking = asyncio.create_task(live.forever())
    changes = live.changes()
    first = await asyncio.wait_for(anext(changes), 10)
    assert first is not None and first.workers[0].key == "q" and first.connection.state is ConnectionState.CONNECTING
    ending = asyncio.create_task(anext(changes, None))
    await asyncio.sleep(0)
    live.close()
    assert await asyncio.wait_for(ending, 10) is None
    looking.cancel()
