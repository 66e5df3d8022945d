"""The worker of a local run: kept while it can be, given up when it cannot, and the run is cleaned up after."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kubiya_workers.cli import local_run
from kubiya_workers.cli.connect import Reached
from kubiya_workers.cli.exit import Failed
from kubiya_workers.cli.local_run import run_here
from kubiya_workers.cli.run_request import RunRequest, Who
from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.contracts.executions import NewExecution, Status
from kubiya_workers.launchers.spec import LocalWorker
from kubiya_workers.settings.paths import Paths

from .fake_api import KEY, FakeApi
from .test_commands import QUEUE
from .test_exec import RUN, ends


class Notes:
    """A renderer that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def event(self, event_id: str, event: object) -> None:
        self.said.append(str(getattr(event, "type", "")))

    def status(self, what: str) -> None:
        self.said.append(what)

    def note(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None: ...


class Workers:
    """Workers that end with these statuses, one after the other; None stays until it is stopped."""

    def __init__(self, *statuses: int | None) -> None:
        self.left = list(statuses)
        self.specs: list[LocalWorker] = []
        self.running = 0

    @asynccontextmanager
    async def worker(
        self, spec: LocalWorker, *, log: Callable[[str], None], guard: object
    ) -> AsyncGenerator[Any, None]:
        self.specs.append(spec)
        self.running += 1
        log("last words")
        try:
            yield self
        finally:
            self.running -= 1

    async def wait(self) -> int:
        status = self.left.pop(0)
        if status is None:
            await asyncio.Event().wait()
        assert status is not None
        return status


async def _run(api: FakeApi, tmp_path: Path, workers: Workers, monkeypatch: pytest.MonkeyPatch, notes: Notes) -> Any:
    monkeypatch.setattr(local_run.local, "worker", workers.worker)
    api.answers["POST /api/v1/environments/default/worker-queues"] = (201, QUEUE)
    api.answers["DELETE /api/v1/worker-queues/q1"] = (204, None)
    request = RunRequest(
        who=Who("agent", "default"),
        new=NewExecution(prompt="hi", model="m"),
        local=True,
        environment=None,
        directory=tmp_path,
        ask_first=False,
        verbose=False,
        timeout=None,
    )
    async with ControlPlaneClient(api.url, KEY) as cp:
        return await run_here(Reached(cp, api.url, KEY), request, notes, Paths(Path("/nonexistent")))


def _deleted(api: FakeApi) -> bool:
    return any(asked.method == "DELETE" and asked.path.endswith("/worker-queues/q1") for asked in api.asked)


async def test_a_run_and_its_cleaning(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ends(api)
    workers = Workers(0)
    ended = await _run(api, tmp_path, workers, monkeypatch, Notes())
    assert ended.execution.status is Status.COMPLETED
    assert _deleted(api) and workers.running == 0
    spec = workers.specs[0]
    assert (spec.queue, spec.cwd, spec.single_execution, spec.env) == (
        "my-queue",
        tmp_path,
        True,
        {"KUBIYA_MODEL": "m"},
    )
    made = next(asked.body for asked in api.asked if asked.path.endswith("/worker-queues"))
    assert made["ephemeral"] and made["single_execution_mode"] and made["name"].startswith("local-")


async def test_a_worker_that_dies_is_started_again(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted = asyncio.Event()

    class Slow(Notes):
        def note(self, text: str) -> None:
            super().note(text)
            if len([said for said in self.said if "starting it again" in said]) == 2:
                submitted.set()

    ends(api)
    notes, workers = Slow(), Workers(-9, 1, 0)
    original = local_run.submit

    async def after_two_deaths(*arguments: Any) -> Any:
        await submitted.wait()
        return await original(*arguments)

    monkeypatch.setattr(local_run, "submit", after_two_deaths)
    ended = await _run(api, tmp_path, workers, monkeypatch, notes)
    assert ended.execution.status is Status.COMPLETED
    assert any("was killed by signal 9; starting it again" in said for said in notes.said)
    assert len(workers.specs) == 3


@pytest.mark.parametrize("statuses", [(3,), (6,), (1, 1, -9, 1)])
async def test_a_worker_that_cannot_be_kept_is_the_reason(
    statuses: tuple[int, ...], api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*arguments: Any) -> Any:
        await asyncio.Event().wait()

    ends(api)
    monkeypatch.setattr(local_run, "submit", never)
    workers = Workers(*statuses)
    with pytest.raises(Failed, match="last words"):
        await _run(api, tmp_path, workers, monkeypatch, Notes())
    assert _deleted(api) and workers.running == 0
    assert len(workers.specs) == len(statuses)


async def test_an_unknown_agent_leaves_nothing(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers(None)
    with pytest.raises(NotFound):
        await _run(api, tmp_path, workers, monkeypatch, Notes())
    assert _deleted(api) and workers.running == 0


async def test_an_interrupted_run_is_cancelled_and_cleaned_up(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends(api, Status.CANCELLED)
    following = asyncio.Event()

    async def forever(*arguments: Any, **_: Any) -> Any:
        following.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(local_run, "follow", forever)
    api.answers[f"POST /api/v1/executions/{RUN}/cancel"] = (200, {})
    workers = Workers(None)
    run = asyncio.create_task(_run(api, tmp_path, workers, monkeypatch, Notes()))
    await asyncio.wait_for(following.wait(), 10)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert any(asked.path.endswith(f"{RUN}/cancel") for asked in api.asked)
    assert _deleted(api) and workers.running == 0
