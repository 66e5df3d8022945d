"""Worker processes of this machine, with a stand-in for what they run."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from kubiya_workers.contracts.errors import Invalid, Unavailable
from kubiya_workers.launchers import local
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.launchers.local import LocalWorker, worker
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting

LIMIT_S = 20.0
KEY = "kbw_very-secret"

GOOD = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("draining", flush=True), sys.exit(0)))
for name in ("QUEUE_ID", "CONTROL_PLANE_URL", "KUBIYA_API_KEY", "SINGLE_EXECUTION", "EXTRA"):
    print(name, os.environ.get(name), flush=True)
print(os.getcwd(), sys.argv[1:], flush=True)
os.write(int(os.environ["KUBIYA_READY_FD"]), b"ready\\n")
while True:
    time.sleep(60)
"""
DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(int(os.environ["KUBIYA_READY_FD"]), b"ready\\n")
while True:
    time.sleep(60)
"""
BROKEN = """
import sys
sys.stderr.write("no such queue\\n")
sys.exit(4)
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    return lambda source: monkeypatch.setattr(local, "_LAUNCHER", source)


def spec(tmp_path: Path, **changes: object) -> LocalWorker:
    return LocalWorker(**{"queue": "q1", "url": "http://127.0.0.1:1", "key": KEY, "cwd": tmp_path, **changes})


async def test_it_gets_what_it_needs_says_ready_and_drains(tmp_path: Path, run) -> None:
    run(GOOD)
    lines: list[str] = []
    with Guard.start() as guard:
        wanted = spec(tmp_path, env={"EXTRA": "e"})
        async with worker(Paths(tmp_path / "home"), wanted, log=lines.append, guard=guard) as process:
            await asyncio.wait_for(process.ready(), LIMIT_S)
            arguments = psutil.Process(process.pid).cmdline()
            assert arguments[1:] == [str(tmp_path / "home/workers/q1/worker.py"), "--queue-id", "q1"]
            assert await process.stop() == 0
    assert KEY not in " ".join(arguments) + repr(wanted)
    assert {"QUEUE_ID q1", "CONTROL_PLANE_URL http://127.0.0.1:1", f"KUBIYA_API_KEY {KEY}", "EXTRA e"} <= set(lines)
    assert "SINGLE_EXECUTION None" in lines
    assert f"{tmp_path} ['--queue-id', 'q1']" in lines
    assert lines[-1] == "draining"
    assert (tmp_path / "home/workers/q1").stat().st_mode & 0o077 == 0


async def test_a_single_execution_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_WITHOUT_A_FILE", ("-c", GOOD))
    lines: list[str] = []
    async with worker(Paths(tmp_path), spec(tmp_path, single_execution=True), log=lines.append) as process:
        await asyncio.wait_for(process.ready(), LIMIT_S)
        assert list(tmp_path.iterdir()) == []
    assert "SINGLE_EXECUTION true" in lines
    assert f"{tmp_path} ['--queue-id', 'q1']" in lines


async def test_one_that_does_not_listen_is_killed(tmp_path: Path, run) -> None:
    run(DEAF)
    async with worker(Paths(tmp_path), spec(tmp_path), log=lambda _: None) as process:
        await asyncio.wait_for(process.ready(), LIMIT_S)
        assert await process.stop(timeout=0.2) == -signal.SIGKILL


async def test_one_that_ends_before_it_is_ready_says_why(tmp_path: Path, run) -> None:
    run(BROKEN)
    async with worker(Paths(tmp_path), spec(tmp_path), log=lambda _: None) as process:
        with pytest.raises(Unavailable, match=r"status 4 .*no such queue"):
            await asyncio.wait_for(process.ready(), LIMIT_S)
        assert await process.wait() == 4


async def test_a_very_long_line_arrives_in_parts(tmp_path: Path, run) -> None:
    run("print('x' * 300_000)")
    lines: list[str] = []
    async with worker(Paths(tmp_path), spec(tmp_path), log=lines.append) as process:
        assert await process.wait() == 0
    assert sum(map(len, lines)) == 300_000
    assert max(map(len, lines)) < 200_000


async def test_an_unsafe_queue_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="letters, digits"):
        async with worker(Paths(tmp_path / "home"), spec(tmp_path, queue="../../x"), log=lambda _: None):
            pass
    assert not (tmp_path / "home").exists()


async def test_a_home_that_is_a_file_is_a_bad_setting(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(BadSetting, match="cannot be written"):
        async with worker(Paths(tmp_path / "home"), spec(tmp_path), log=lambda _: None):
            pass


async def test_it_ends_when_its_owner_is_killed(tmp_path: Path, run) -> None:
    """The guard, with its pipe closed as the kernel would close it."""
    run(GOOD)
    with Guard.start() as guard:
        async with worker(Paths(tmp_path), spec(tmp_path), log=lambda _: None, guard=guard) as process:
            await asyncio.wait_for(process.ready(), LIMIT_S)
            assert guard.pid is not None
            await asyncio.to_thread(guard.close)
            assert await asyncio.wait_for(process.wait(), LIMIT_S) == 0
