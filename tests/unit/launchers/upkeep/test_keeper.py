"""The keeper, with small programs in the worker's place."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kubiya_workers import __version__
from kubiya_workers.contracts.errors import Conflict, Invalid
from kubiya_workers.contracts.pool import Mode, ProcessRef, Record, UpkeepState
from kubiya_workers.launchers import script
from kubiya_workers.launchers.guard import start_time
from kubiya_workers.launchers.spec import LocalWorker
from kubiya_workers.launchers.upkeep import daemon, records
from kubiya_workers.launchers.upkeep.keeper import Keeper, Timing
from kubiya_workers.launchers.upkeep.output import opened
from kubiya_workers.launchers.upkeep.rotation import LogLimits
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting

LIMIT_S = 60.0
KEY = "kbw_very-secret"
IMPATIENT = Timing(look=0.05, start=30.0, drain=2.0, patience=0.01)

READY = r"""
import http.server, json, os, signal, sys, threading, time
def ready(health=None):
    line = json.dumps({"worker_id": "w%d" % os.getpid(), "health": health})
    os.write(int(os.environ["KUBIYA_READY_FD"]), line.encode() + b"\n")
"""
STAYS = (
    READY
    + """
signal.signal(signal.SIGTERM, lambda *_: (print("draining", flush=True), os._exit(0)))
print("key", os.environ["KUBIYA_API_KEY"], flush=True)
ready()
while True:
    time.sleep(60)
"""
)
DIES_LATER = (
    READY
    + """
ready()
print("[ERROR] out of luck", flush=True)
time.sleep(0.1)
os._exit(9)
"""
)
REFUSES = """
import sys
print("LOG_LEVEL=x is not valid")
sys.exit(6)
"""
DONE = READY + "ready()"
STUBBORN = (
    READY
    + """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
ready()
while True:
    time.sleep(60)
"""
)
UNFIT = (
    READY
    + """
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"ok": false, "checks": [{"name": "memory", "state": "failed", "detail": "2Gi of 2Gi"}]}'
        self.send_response(503)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Health)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
ready("http://127.0.0.1:%d" % server.server_port)
server.serve_forever()
"""
)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "home")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda source: monkeypatch.setattr(script, "_LAUNCHER", source)


def spec(tmp_path: Path, **changes: object) -> LocalWorker:
    return LocalWorker(**{"queue": "q1", "url": "http://127.0.0.1:1", "key": KEY, "cwd": tmp_path, **changes})


@asynccontextmanager
async def kept(paths: Paths, wanted: LocalWorker, mode: Mode = Mode.DAEMON) -> AsyncIterator[Keeper]:
    """A keeper that keeps, until the end of the context."""
    with opened(paths, wanted, LogLimits()) as output:
        keeper = Keeper(paths, wanted, mode, output, timing=IMPATIENT)
        keeping = asyncio.create_task(keeper.keep())
        try:
            yield keeper
        finally:
            keeper.stop()
            await asyncio.wait_for(keeping, LIMIT_S)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.01)


def told(paths: Paths) -> dict[str, str]:
    text = paths.daemon_info("q1").read_text()
    return dict(line.split(": ", 1) for line in text.splitlines() if not line.startswith("#"))


async def test_a_worker_is_kept_told_of_and_drained(paths: Paths, tmp_path: Path, run) -> None:
    run(STAYS)
    async with kept(paths, spec(tmp_path)) as keeper:
        record = await asyncio.wait_for(keeper.settled(), LIMIT_S)
        assert record.state is UpkeepState.RUNNING and record.worker is not None
        stored = records.stored(paths, "q1")  # it may have been written again since
        assert stored is not None and (stored.state, stored.worker) == (record.state, record.worker)
        assert (told(paths)["state"], told(paths)["pid"]) == ("running", str(record.worker.pid))
        assert told(paths)["supervisor_pid"] == str(os.getpid())
        for file in (paths.daemon_info("q1"), paths.worker_record("q1"), paths.worker_log("q1")):
            assert file.stat().st_mode & 0o777 == 0o600
    assert told(paths)["state"] == "stopped"
    log = paths.worker_log("q1").read_text()
    assert "draining" in log and KEY not in log and "[redacted]" in log


async def test_one_that_dies_is_started_again_and_loops_in_the_end(paths: Paths, tmp_path: Path, run) -> None:
    run(DIES_LATER)
    seen: set[UpkeepState] = set()
    async with kept(paths, spec(tmp_path)) as keeper:
        await until(lambda: seen.add(keeper.record.state) or keeper.record.crashes_in_a_row >= 11)
        assert keeper.record.restarts >= 11
        assert keeper.record.last_restart is not None
        assert keeper.record.last_restart.status == 9
        assert "ended with status 9: [ERROR] out of luck" in keeper.record.last_restart.reason
    assert UpkeepState.CRASH_LOOPING in seen
    log = paths.worker_log("q1").read_text()
    assert "[ERROR] Worker is crash-looping: crashes=10" in log
    assert "Control plane was not told of the crash" in log


async def test_one_that_is_killed_comes_back_and_one_that_is_asked_to_end_does_not(
    paths: Paths, tmp_path: Path, run
) -> None:
    run(STAYS)
    async with kept(paths, spec(tmp_path)) as keeper:
        first = (await keeper.settled()).worker
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: keeper.record.state is UpkeepState.RUNNING and keeper.record.worker != first)
        second = keeper.record.worker
        assert second is not None and keeper.record.restarts == 1
        os.kill(second.pid, signal.SIGTERM)
        await until(lambda: keeper.record.state is UpkeepState.STOPPED)
        assert keeper.record.reason == "it ended by itself with status 0"


async def test_one_that_cannot_start_says_why_and_is_left_alone(paths: Paths, tmp_path: Path, run) -> None:
    run(REFUSES)
    async with kept(paths, spec(tmp_path)) as keeper:
        record = await asyncio.wait_for(keeper.settled(), LIMIT_S)
        assert (record.state, keeper.status, record.restarts) == (UpkeepState.FAILED, 6, 0)
        assert record.reason == "it ended with status 6: LOG_LEVEL=x is not valid"


async def test_one_whose_job_is_done_is_left_alone(paths: Paths, tmp_path: Path, run) -> None:
    run(DONE)
    async with kept(paths, spec(tmp_path)) as keeper:
        await until(lambda: keeper.record.state is UpkeepState.STOPPED)
        assert keeper.record.restarts == 0


async def test_one_that_is_not_fit_is_drained_and_started_again(paths: Paths, tmp_path: Path, run) -> None:
    run(UNFIT)
    async with kept(paths, spec(tmp_path)) as keeper:
        await until(lambda: keeper.record.restarts >= 1)
        last = keeper.record.last_restart
        assert last is not None and not last.crash
        assert last.reason == "memory: 2Gi of 2Gi"


async def test_one_that_does_not_drain_is_killed(paths: Paths, tmp_path: Path, run) -> None:
    run(STUBBORN)
    async with kept(paths, spec(tmp_path)) as keeper:
        await keeper.settled()
    assert keeper.status == -signal.SIGKILL
    assert keeper.record.state is UpkeepState.STOPPED


async def test_in_the_foreground_a_crash_is_the_end(paths: Paths, tmp_path: Path, run) -> None:
    run(DIES_LATER)
    async with kept(paths, spec(tmp_path), Mode.FOREGROUND) as keeper:
        await until(lambda: keeper.record.state is UpkeepState.FAILED)
        assert keeper.status == 9
    assert not paths.daemon_info("q1").exists()


async def test_a_deleted_interpreter_is_no_end_of_the_supervisor(paths: Paths, tmp_path: Path, run) -> None:
    run(STAYS)
    wanted = spec(tmp_path, python=paths.venv("q1") / "bin" / "python")
    async with kept(paths, wanted) as keeper:
        record = await asyncio.wait_for(keeper.settled(), 60)
        assert record.state is UpkeepState.RUNNING, "it is made anew"


async def test_two_in_the_foreground_are_refused(paths: Paths, tmp_path: Path, run) -> None:
    run(STAYS)
    async with daemon.foreground(paths, spec(tmp_path), LogLimits(), lambda _: None) as keeper:
        keeping = asyncio.create_task(keeper.keep())
        await keeper.settled()
        with pytest.raises(Conflict, match=f"PID {os.getpid()}"):
            async with daemon.foreground(paths, spec(tmp_path), LogLimits(), lambda _: None):
                pass
        keeper.stop()
        assert await asyncio.wait_for(keeping, LIMIT_S) == 0


async def test_an_unsafe_queue_is_refused_before_anything_is_made(paths: Paths) -> None:
    with pytest.raises(Invalid, match="letters, digits"):
        script.written(paths, "../../x")
    assert not paths.home.exists()


async def test_a_home_that_is_a_file_is_a_bad_setting(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(BadSetting, match="cannot be written"):
        script.written(Paths(tmp_path / "home"), "q1")
    with pytest.raises(BadSetting, match="cannot be written"):
        async with daemon.foreground(Paths(tmp_path / "home"), spec(tmp_path), LogLimits(), lambda _: None):
            pass


def a_record(**changes: object) -> Record:
    own = ProcessRef(pid=os.getpid(), start=start_time(os.getpid()))
    values = {
        "queue": "q1", "mode": "daemon", "state": "running", "supervisor": own, "worker": own, "version": "1",
        "control_plane_url": "http://127.0.0.1:1", "log": "l", "started_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
        "started_with": {"cwd": "/", "max_log_size": 1, "max_log_backups": 1}, **changes,
    }  # fmt: skip
    return Record.model_validate(values)


GONE = ProcessRef(pid=os.getpid(), start="another time")


@pytest.mark.parametrize(
    ("supervisor", "worker", "state", "says"),
    [
        (None, None, UpkeepState.RUNNING, ""),
        (None, GONE, UpkeepState.RESTARTING, "has just ended"),
        (GONE, None, UpkeepState.STOPPING, "was killed; it drains"),
        (GONE, GONE, UpkeepState.STOPPED, "was killed"),
    ],
)
def test_a_record_is_corrected_by_what_lives(
    paths: Paths, supervisor: ProcessRef | None, worker: ProcessRef | None, state: UpkeepState, says: str
) -> None:
    changes = {"supervisor": supervisor, "worker": worker}
    records.write(paths, a_record(**{name: value for name, value in changes.items() if value}))
    found = records.read(paths, "q1")
    assert found is not None and found.state is state
    assert re.search(says, found.reason or "")
    assert records.all_(paths) == [found]


def test_a_record_that_is_damaged_is_none(paths: Paths) -> None:
    assert records.read(paths, "q1") is None and records.all_(paths) == []
    records.write(paths, a_record())
    paths.worker_record("q1").write_text("{")
    assert records.read(paths, "q1") is None


async def test_stopping_never_touches_another_process_of_the_same_number(paths: Paths) -> None:
    records.write(paths, a_record(supervisor=GONE, worker=GONE))
    assert await daemon.stop(paths, "q1", 1.0) is None
    stored = records.stored(paths, "q1")
    assert stored is not None and stored.state is UpkeepState.RUNNING
    settled = daemon.settle(paths, "q1")
    assert settled is not None and settled.state is UpkeepState.STOPPED
    assert records.stored(paths, "q1") == settled


@pytest.mark.parametrize("mode", list(Mode))
async def test_one_that_is_asked_for_another_drains_it_first_and_counts_no_crash(
    paths: Paths, tmp_path: Path, run: Callable[[str], None], mode: Mode
) -> None:
    run(STAYS)
    async with kept(paths, spec(tmp_path), mode) as keeper:
        first = (await keeper.settled()).worker
        keeper.restart()
        await until(lambda: keeper.record.worker not in (None, first) and keeper.record.state is UpkeepState.RUNNING)
        assert keeper.record.restarts == 1 and keeper.record.crashes_in_a_row == 0
        last = keeper.record.last_restart
        assert last is not None and not last.crash and last.reason == "it was asked to"
        assert paths.worker_log("q1").read_text().count("draining") == 1
    assert keeper.record.state is UpkeepState.STOPPED


def test_only_a_running_one_of_this_version_is_asked(paths: Paths) -> None:
    here = ProcessRef(pid=os.getpid(), start=start_time(os.getpid()))
    fields = {"queue": "q1", "mode": "daemon", "supervisor": here, "control_plane_url": "u", "log": "l"}
    fields |= {"started_with": {"cwd": "/", "max_log_size": 1, "max_log_backups": 1}}
    fields |= {"started_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"}
    for version, state in (("0.0.0", "running"), (__version__, "starting"), (__version__, "stopped")):
        record = Record.model_validate({**fields, "version": version, "state": state})
        assert not daemon.takes_restart(record)
        with pytest.raises(Conflict):
            daemon.restart(record)
    assert daemon.takes_restart(Record.model_validate({**fields, "version": __version__, "state": "running"}))
