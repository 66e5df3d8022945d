"""The embedded control plane as a process: found, started, shared, promoted, stopped, and what its users' deaths do."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from tests.ports import free_port
from tests.processes import alive

from kubiya_workers.contracts.errors import Refusal, Unavailable
from kubiya_workers.launchers import probe, server
from kubiya_workers.launchers.guard import start_time
from kubiya_workers.launchers.spec import ServerFlags, ServerMode, ServerState
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting

LIMIT_S = 40.0


@pytest.fixture
async def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Paths]:
    monkeypatch.setenv("KUBIYA_TEMPORAL_PORT", str(free_port()))
    monkeypatch.delenv("KUBIYA_API_KEY", raising=False)
    found = Paths(tmp_path / "home")
    yield found
    await server.stop(found)
    left = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]
    assert left == []


def settings(paths: Paths, key: str | None = None) -> ClientSettings:
    return ClientSettings(paths=paths, url=None, key=key)


def quiet(_: str) -> None:
    pass


async def answers(endpoint: server.Endpoint) -> int | None:
    return await probe.status_of(endpoint.url, "/api/v1/environments", key=endpoint.key)


def family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


async def all_gone(processes: list[psutil.Process]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while any(map(alive, processes)):
            await asyncio.sleep(0.02)


async def test_started_on_demand_and_gone_afterwards(paths: Paths) -> None:
    async with asyncio.timeout(LIMIT_S), server.use(settings(paths), start=True, progress=quiet) as endpoint:
        assert endpoint.started
        assert await answers(endpoint) == 200
        state = server.status(paths)
        assert state is not None
        processes = family(state.pid)
        async with server.use(settings(paths), start=False, progress=quiet) as second:
            assert (second.url, second.started) == (endpoint.url, False)
        assert await answers(endpoint) == 200
    assert server.status(paths) is None
    assert not paths.server_state.exists()
    assert not any(map(alive, processes))
    public = [path for path in paths.server.rglob("*") if path.stat().st_mode & 0o077]
    assert public == []


async def test_two_at_once_end_up_with_one_server(paths: Paths) -> None:
    used: list[server.Endpoint] = []
    pids: set[int] = set()
    both = asyncio.Barrier(2)

    async def use() -> None:
        async with server.use(settings(paths), start=True, progress=quiet) as endpoint:
            used.append(endpoint)
            state = server.status(paths)
            assert state is not None
            pids.add(state.pid)
            await both.wait()

    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(use(), use())
    assert len(pids) == 1
    assert sorted(endpoint.started for endpoint in used) == [False, True]
    assert server.status(paths) is None


_USER = """
import asyncio, sys
from pathlib import Path
from kubiya_workers.launchers import server
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.paths import Paths

async def main():
    settings = ClientSettings(paths=Paths(Path(sys.argv[1])), url=None, key=None)
    async with server.use(settings, start=True, progress=lambda _: None):
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_user_that_is_killed_is_noticed(paths: Paths) -> None:
    with subprocess.Popen([sys.executable, "-c", _USER, str(paths.home)], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        assert await asyncio.to_thread(user.stdout.readline) == "up\n"
        state = server.status(paths)
        assert state is not None
        processes = family(state.pid)
        user.kill()
    await all_gone(processes)
    assert server.status(paths) is None


async def test_a_killed_server_takes_its_children_along_and_is_replaced(paths: Paths) -> None:
    async with asyncio.timeout(LIMIT_S), server.use(settings(paths), start=True, progress=quiet):
        state = server.status(paths)
        assert state is not None
        processes = family(state.pid)
        os.kill(state.pid, signal.SIGKILL)
        await all_gone(processes)
        assert server.status(paths) is None
        async with server.use(settings(paths), start=True, progress=quiet) as again:
            assert again.started
            now = server.status(paths)
            assert now is not None
            assert now.temporal == state.temporal


async def test_a_daemon_stays_until_it_is_stopped_and_shows_its_first_key_once(paths: Paths) -> None:
    port = free_port()
    async with asyncio.timeout(LIMIT_S):
        first = await server.start_daemon(settings(paths), flags=ServerFlags(port=port), progress=quiet)
        assert first.started
        assert first.url == f"http://127.0.0.1:{port}"
        assert first.first_key == first.key
        assert first.key not in paths.server_log.read_text() + repr(first)
        again = await server.start_daemon(settings(paths), progress=quiet)
        assert (again.started, again.first_key, again.url) == (False, None, first.url)
        async with server.use(settings(paths), start=True, progress=quiet) as endpoint:
            assert await answers(endpoint) == 200
        state = server.status(paths)
        assert state is not None
        assert state.mode is ServerMode.DAEMON
        processes = family(state.pid)
        assert await server.stop(paths)
    assert not any(map(alive, processes))
    assert not await server.stop(paths)


async def test_an_on_demand_server_can_be_told_to_stay(paths: Paths) -> None:
    async with asyncio.timeout(LIMIT_S):
        async with server.use(settings(paths), start=True, progress=quiet) as endpoint:
            staying = await server.start_daemon(settings(paths), progress=quiet)
            assert (staying.url, staying.started) == (endpoint.url, False)
        assert await answers(endpoint) == 200


async def test_a_key_of_the_user_is_accepted_also_by_a_server_that_runs(paths: Paths) -> None:
    async with asyncio.timeout(LIMIT_S):
        async with server.use(settings(paths, "own-key-1"), start=True, progress=quiet) as endpoint:
            assert (endpoint.key, await answers(endpoint)) == ("own-key-1", 200)
            async with server.use(settings(paths, "own-key-2"), start=True, progress=quiet) as second:
                assert (second.key, await answers(second)) == ("own-key-2", 200)
    assert "own-key" not in paths.server_log.read_text()


async def test_none_running_and_none_wanted_is_unavailable(paths: Paths) -> None:
    with pytest.raises(Unavailable) as refused:
        async with server.use(settings(paths), start=False, progress=quiet):
            pass
    assert "kubiya server start" in (refused.value.fix or "")
    assert not paths.home.exists()


async def test_a_port_in_use_is_said(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder, pytest.raises(BadSetting, match="in use"):
        await server.start_daemon(settings(paths), flags=ServerFlags(port=holder.getsockname()[1]), progress=quiet)
    assert server.status(paths) is None


async def test_a_home_that_cannot_be_made_is_a_bad_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadSetting, match="KUBIYA_HOME"):
        async with server.use(settings(Paths(tmp_path / "file")), start=True, progress=quiet):
            pass


async def test_a_database_that_is_none_is_said(paths: Paths) -> None:
    paths.server.mkdir(parents=True, mode=0o700)
    paths.database.write_text("no database " * 1000)
    with pytest.raises(Refusal) as refused:
        async with server.use(settings(paths), start=True, progress=quiet):
            pass
    assert "database" in refused.value.detail


async def test_a_reused_pid_is_no_server_and_is_never_ended(paths: Paths) -> None:
    paths.server.mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
        state = ServerState(
            pid=stranger.pid,
            process_start=start_time(stranger.pid) + "0",
            url="http://127.0.0.1:1",
            version="0",
            mode=ServerMode.DAEMON,
            started_at="2026-01-01T00:00:00Z",  # pyright: ignore[reportArgumentType]
        )
        paths.server_state.write_text(state.model_dump_json())
        assert server.status(paths) is None
        assert not await server.stop(paths)
        assert stranger.poll() is None
        stranger.communicate(b"\n")
