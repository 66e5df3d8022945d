"""What a worker does of what is asked of it from afar."""

import asyncio
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubiya_workers import __version__
from kubiya_workers.contracts.pool import Record
from kubiya_workers.contracts.workers import Action, Wish
from kubiya_workers.launchers.guard import start_time
from kubiya_workers.launchers.upkeep import pauses, records
from kubiya_workers.settings.source import Source
from kubiya_workers.settings.worker import WorkerSettings
from kubiya_workers.worker.wishes import Wishes

NOW = datetime.now(UTC)


def wish(action: Action, **changes: Any) -> Wish:
    return Wish.model_validate({"id": f"w-{action}", "action": action, "asked_by": "ops", "asked_at": NOW, **changes})


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    environ = {"KUBIYA_HOME": str(tmp_path), "CONTROL_PLANE_URL": "http://cp", "KUBIYA_API_KEY": "k"}
    return WorkerSettings.of(Source(environ), queue="q")


@pytest.fixture
def asked_to_restart() -> Iterator[list[int]]:
    """How often this process's own parent, which we are made to be, was sent SIGUSR1."""
    got: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: got.append(number))
    yield got
    signal.signal(signal.SIGUSR1, before)


def keep(settings: WorkerSettings) -> None:
    """Its record says that this process keeps the worker, and is one that restarts."""
    here = {"pid": os.getpid(), "start": start_time(os.getpid())}
    fields = {"queue": "q", "mode": "daemon", "state": "running", "supervisor": here, "worker": here, "log": "l"}
    fields |= {"control_plane_url": "u", "started_with": {"cwd": "/", "max_log_size": 1, "max_log_backups": 1}}
    said = Record.model_validate({**fields, "version": __version__, "started_at": NOW, "updated_at": NOW})
    records.write(settings.paths, said)


async def test_a_pause_outlives_the_worker_and_ends_when_it_is_to(settings: WorkerSettings) -> None:
    wishes = Wishes(settings, end=lambda _: None)
    until = NOW + timedelta(hours=1)
    assert wishes.take(wish(Action.PAUSE, until=until))
    pause = pauses.read(settings.paths, "q")
    assert pause is not None and (pause.note, pause.until) == ("asked by ops", until)
    assert wishes.heard is not None and (wishes.heard.id, wishes.heard.refused) == ("w-pause", None)
    assert wishes.take(wish(Action.RESUME)) and pauses.read(settings.paths, "q") is None


async def test_what_was_done_is_not_done_again(settings: WorkerSettings) -> None:
    wishes = Wishes(settings, end=lambda _: None)
    assert wishes.take(wish(Action.PAUSE))
    pauses.remove(settings.paths, "q")
    assert not wishes.take(wish(Action.PAUSE))
    assert pauses.read(settings.paths, "q") is None, "somebody resumed it here meanwhile"


async def test_it_is_drained_on_its_own_loop_from_any_thread(settings: WorkerSettings) -> None:
    reasons: list[str] = []
    wishes = Wishes(settings, reasons.append)
    assert await asyncio.to_thread(wishes.take, wish(Action.DRAIN))
    await asyncio.sleep(0)
    assert reasons == ["it was asked to drain by ops"]


async def test_whoever_keeps_it_starts_another(
    settings: WorkerSettings, asked_to_restart: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(settings)
    monkeypatch.setattr(os, "getppid", os.getpid)
    wishes = Wishes(settings, end=lambda _: None)
    assert Action.RESTART in wishes.can(paused=False)
    assert wishes.take(wish(Action.RESTART)) and asked_to_restart == [signal.SIGUSR1]


async def test_one_that_nobody_keeps_says_so(settings: WorkerSettings, asked_to_restart: list[int]) -> None:
    keep(settings)  # another's: our parent is not in it
    wishes = Wishes(settings, end=lambda _: None)
    assert wishes.can(paused=True) == (Action.RESUME, Action.DRAIN)
    assert wishes.take(wish(Action.RESTART)) and asked_to_restart == []
    assert wishes.heard is not None and "nobody keeps" in (wishes.heard.refused or "")


async def test_what_the_disk_does_not_take_is_refused_in_words(settings: WorkerSettings) -> None:
    settings.paths.pause("q").parent.parent.mkdir(parents=True)
    settings.paths.pause("q").parent.write_text("a file where a directory belongs")
    wishes = Wishes(settings, end=lambda _: None)
    assert wishes.take(wish(Action.PAUSE))
    assert wishes.heard is not None and wishes.heard.refused
