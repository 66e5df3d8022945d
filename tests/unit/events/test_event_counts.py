"""What a worker says of its events: sent, tried again, given up."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from kubiya_workers.client.errors import Unreachable
from kubiya_workers.worker.events.publisher import Publisher
from kubiya_workers.worker.events.uplink import Uplink

from .scene import answered, new_execution, started, within
from .served import Server, serving


@dataclass
class Counts:
    sent: int = 0
    retried: int = 0
    dropped: int = 0

    def events_sent(self, count: int) -> None:
        self.sent += count

    def events_retried(self) -> None:
        self.retried += 1

    def events_dropped(self, count: int) -> None:
        self.dropped += count


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(tmp_path) as server:
        yield server


async def test_what_was_taken_is_sent(server: Server) -> None:
    execution_id, counts = await new_execution(server.database), Counts()
    async with server.client() as http:
        uplink = Uplink(http, counts=counts)
        async with Publisher(http, execution_id, step=1, attempt=1, uplink=uplink) as said:
            await said.fact(started())
            await said.fact(answered("x"))
            await within(said.flush())
    assert counts == Counts(sent=2)


async def test_what_found_nobody_is_tried_again_and_then_given_up(server: Server) -> None:
    execution_id, counts = await new_execution(server.database), Counts()
    async with httpx.AsyncClient(base_url="http://127.0.0.1:1", trust_env=False) as http:
        uplink = Uplink(http, counts=counts)
        async with Publisher(http, execution_id, step=1, attempt=1, uplink=uplink, patience_s=1.0) as said:
            await said.fact(started())
            with pytest.raises(Unreachable):
                await within(said.flush())
    assert counts.sent == 0
    assert counts.retried >= 1
    assert counts.dropped == 1
