"""The way that all running steps of a worker share to the event log."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest

from kubiya_workers.client import events as event_log
from kubiya_workers.contracts.appends import Appended
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.worker.events.uplink import Uplink


async def test_an_append_right_after_both_lanes_ended_is_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = asyncio.Event()
    requests = 0

    async def append_together(http: httpx.AsyncClient, bodies: Sequence[bytes]) -> list[Appended]:
        nonlocal requests
        requests += 1
        await answers.wait()
        return [Appended(accepted=1) for _ in bodies]

    monkeypatch.setattr(event_log, "append_together", append_together)

    async with httpx.AsyncClient() as http:
        uplink = Uplink(http, lanes=2)

        async def says(times: int) -> None:
            for _ in range(times):
                await uplink.append(ExecutionId("e"), ())

        said: list[asyncio.Task[Any]] = []
        for number, times in enumerate((2, 1), start=1):
            said.append(asyncio.create_task(says(times)))
            while requests < number:
                await asyncio.sleep(0)
        answers.set()
        async with asyncio.timeout(10):
            await asyncio.gather(*said)
