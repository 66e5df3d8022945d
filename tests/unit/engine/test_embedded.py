"""The embedded server, for real: ports, restarts, and ends of every kind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.ports import free_port
from tests.processes import alive

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.control_plane.engine import embedded
from kubiya_workers.control_plane.engine.embedded import EmbeddedTemporal
from kubiya_workers.control_plane.engine.temporal import TemporalEngine
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.settings.server import TemporalSettings

LIMIT_S = 30.0


class NoObjects:
    async def put(self, data: bytes) -> str:
        raise AssertionError

    async def get(self, digest: str) -> bytes:
        raise AssertionError


def server(home: Path, port: int, guard: Guard) -> EmbeddedTemporal:
    return EmbeddedTemporal(database=home / "temporal.db", log_file=home / "temporal.log", port=port, guard=guard)


async def gone(pid: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while alive(pid):
            await asyncio.sleep(0.02)


async def test_it_answers_when_it_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    with Guard.start() as guard:
        temporal = server(tmp_path, free_port(), guard)
        async with temporal as address:
            pid = temporal.pid
            assert pid is not None
            engine = await TemporalEngine.connect(TemporalSettings(host=address), NoObjects(), watched=temporal.check)
            check = await engine.health()
            assert check.ok
            listening = [c.laddr.ip for c in psutil.Process(pid).net_connections("tcp") if c.status == "LISTEN"]
            assert set(listening) == {"127.0.0.1"}
        assert not psutil.pid_exists(pid)


async def test_a_taken_port_means_the_next_and_it_is_remembered(tmp_path: Path) -> None:
    with Guard.start() as guard, socket.create_server(("127.0.0.1", free_port())) as holder:
        taken = holder.getsockname()[1]
        async with server(tmp_path, taken, guard) as first:
            assert first != f"127.0.0.1:{taken}"
        holder.close()
        async with server(tmp_path, taken, guard) as second:
            assert second == first


async def test_a_clash_at_bind_time_is_met_by_the_next_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Guard.start() as guard, socket.create_server(("127.0.0.1", free_port())) as holder:
        taken, free = holder.getsockname()[1], free_port()
        monkeypatch.setattr(embedded.ports, "candidates", lambda *_: iter((taken, free)))
        async with server(tmp_path, taken, guard) as address:
            assert address == f"127.0.0.1:{free}"


async def test_killed_it_comes_back_on_its_port(tmp_path: Path) -> None:
    with Guard.start() as guard:
        temporal = server(tmp_path, free_port(), guard)
        async with temporal as address:
            engine = await TemporalEngine.connect(TemporalSettings(host=address), NoObjects(), watched=temporal.check)
            assert temporal.pid is not None
            os.kill(temporal.pid, signal.SIGKILL)
            async with asyncio.timeout(LIMIT_S):
                while (await engine.health()).ok:
                    await asyncio.sleep(0.005)
                while not (await engine.health()).ok:
                    await asyncio.sleep(0.02)
            assert temporal.address == address


async def test_what_it_says_is_told_when_it_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "temporal.db").write_text("this is no database, and long enough to be seen as none" * 100)
    with Guard.start() as guard:
        with pytest.raises(Unavailable, match="ended at its start") as refused:
            async with server(tmp_path, free_port(), guard):
                pass
        assert "not a database" in refused.value.detail


async def test_a_first_start_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "temporal.db").touch()
    with Guard.start() as guard:
        async with server(tmp_path, free_port(), guard) as address:
            assert address


_HOST = """
import asyncio, sys
from pathlib import Path
from kubiya_workers.control_plane.engine.embedded import EmbeddedTemporal
from kubiya_workers.launchers.guard import Guard

async def main():
    home = Path(sys.argv[1])
    guard = Guard.start()
    temporal = EmbeddedTemporal(
        database=home / "temporal.db", log_file=home / "temporal.log", port=int(sys.argv[2]), guard=guard
    )
    async with temporal:
        print(temporal.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_it_does_not_outlive_an_owner_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOST, str(tmp_path), str(free_port())], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid = int(await asyncio.to_thread(owner.stdout.readline))
        children = [child.pid for child in psutil.Process(owner.pid).children(recursive=True)]
        assert pid in children
        owner.kill()
    for child in children:
        await gone(child)
