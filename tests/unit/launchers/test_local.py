"""Workers of one run, with a stand-in for what they run."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest
from tests.processes import alive

from kubiya_workers.launchers import local
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.launchers.local import worker
from kubiya_workers.launchers.spec import LocalWorker
from kubiya_workers.launchers.worker_process import WorkerProcess, said_last

LIMIT_S = 20.0
KEY = "kbw_very-secret"

READY = r"""os.write(int(os.environ["KUBIYA_READY_FD"]), b'{"worker_id": "w1"}\n')"""
GOOD = f"""
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("draining", flush=True), sys.exit(0)))
for name in ("QUEUE_ID", "CONTROL_PLANE_URL", "KUBIYA_API_KEY", "SINGLE_EXECUTION", "EXTRA"):
    print(name, os.environ.get(name), flush=True)
print(os.getcwd(), sys.argv[1:], flush=True)
{READY}
while True:
    time.sleep(60)
"""
DEAF = f"""
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
{READY}
while True:
    time.sleep(60)
"""
HELD = """
import os, sys, time
left = os.fork()
if left == 0:
    os.setsid()
    time.sleep(600)
    sys.exit(0)
print(left, flush=True)
"""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    return lambda source: monkeypatch.setattr(local, "_PROGRAM", ("-c", source))


def spec(tmp_path: Path, **changes: object) -> LocalWorker:
    return LocalWorker(**{"queue": "q1", "url": "http://127.0.0.1:1", "key": KEY, "cwd": tmp_path, **changes})


async def first_ready(process: WorkerProcess) -> str:
    async with asyncio.timeout(LIMIT_S):
        async for ready in process.readies():
            return ready.worker_id
    raise AssertionError("it ended before")


async def test_it_gets_what_it_needs_says_ready_and_drains(tmp_path: Path, run) -> None:
    run(GOOD)
    lines: list[str] = []
    wanted = spec(tmp_path, env={"EXTRA": "e"}, single_execution=True)
    with Guard.start() as guard:
        async with worker(wanted, log=lines.append, guard=guard) as process:
            assert await first_ready(process) == "w1"
            arguments = psutil.Process(process.pid).cmdline()
            assert arguments[-2:] == ["--queue-id", "q1"]
            assert await process.stop() == 0
    assert KEY not in " ".join(arguments) + repr(wanted)
    assert {"QUEUE_ID q1", "CONTROL_PLANE_URL http://127.0.0.1:1", f"KUBIYA_API_KEY {KEY}", "EXTRA e"} <= set(lines)
    assert "SINGLE_EXECUTION true" in lines
    assert f"{tmp_path} ['--queue-id', 'q1']" in lines
    assert lines[-1] == "draining"
    assert list(tmp_path.iterdir()) == []


async def test_one_that_does_not_listen_is_killed(tmp_path: Path, run) -> None:
    run(DEAF)
    async with worker(spec(tmp_path), log=lambda _: None) as process:
        await first_ready(process)
        assert await process.stop(timeout=0.2) == -signal.SIGKILL


async def test_a_very_long_line_arrives_in_parts(tmp_path: Path, run) -> None:
    run("print('x' * 300_000)")
    lines: list[str] = []
    async with worker(spec(tmp_path), log=lines.append) as process:
        assert await process.wait() == 0
    assert sum(map(len, lines)) == 300_000
    assert max(map(len, lines)) < 200_000


async def test_a_program_that_left_and_holds_the_output_does_not_hold_us(tmp_path: Path, run) -> None:
    run(HELD)
    lines: list[str] = []
    async with worker(spec(tmp_path), log=lines.append) as process:
        assert await asyncio.wait_for(process.wait(), LIMIT_S) == 0
    (left,) = map(int, lines)
    assert alive(left)
    os.kill(left, signal.SIGKILL)


async def test_it_ends_when_its_owner_is_killed(tmp_path: Path, run) -> None:
    """The guard, with its pipe closed as the kernel would close it."""
    run(GOOD)
    with Guard.start() as guard:
        async with worker(spec(tmp_path), log=lambda _: None, guard=guard) as process:
            await first_ready(process)
            assert guard.pid is not None
            await asyncio.to_thread(guard.close)
            assert await asyncio.wait_for(process.wait(), LIMIT_S) == 0


def test_last_words_are_what_went_wrong() -> None:
    lines = [
        "2026-01-01T00:00:00.000Z [INFO] Ready: queue=q",
        '{"timestamp": "2026-01-01T00:00:00.000Z", "level": "INFO", "message": "Ready"}',
        "2026-01-01T00:00:00.000Z [ERROR] Worker ended: reason=no",
        "MemoryError",
    ]
    assert said_last(lines) == "Worker ended: reason=no / MemoryError"
