"""The commands that tend workers: what they show, refuse and remove."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from .machine import KUBIYA, Machine, served, until

QUEUE = "--queue-id=q"
USAGE, REFUSED, CONFIGURATION = 2, 4, 6


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with served(tmp_path_factory.mktemp("tended")) as machine:
        yield machine


@pytest.fixture
def daemon(running: Machine) -> Iterator[Machine]:
    fine(running, "worker", "start", QUEUE, "-d")
    yield running
    fine(running, "worker", "stop", QUEUE)


def fine(machine: Machine, *words: str) -> str:
    done = machine.run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_daemon_that_runs_is_left_as_it_is(daemon: Machine) -> None:
    before: Any = daemon.json("worker", "status", QUEUE)
    assert "There is already the worker of queue q" in fine(daemon, "worker", "start", QUEUE, "-d")
    again: Any = daemon.json("worker", "start", QUEUE, "--mode=daemon")
    assert again["worker"] == before["record"]["worker"]


def test_a_queue_has_one_keeper(running: Machine) -> None:
    with running.spawn("worker", "start", "--queue-id=fg") as foreground:
        foreground.until_said("Ready")
        for words in (("worker", "start", "--queue-id=fg", "-d"), ("worker", "start", "--queue-id=fg")):
            refused = running.run(*words)
            assert refused.returncode == REFUSED
            assert str(foreground.process.pid) in refused.stderr and "kubiya worker stop" in refused.stderr
        (listed,) = [row for row in running.json("worker", "list") if row["queue"] == "fg"]  # type: ignore[union-attr]
        assert (listed["type"], listed["state"]) == ("local", "running")
        assert not (running.home / ".kubiya/workers/fg/daemon_info.txt").exists()
        fine(running, "worker", "stop", "--queue-id=fg")
        assert foreground.process.wait(20) == 0
    status = running.run("worker", "status", "--queue-id=fg")
    assert status.returncode == 1 and "not running: stopped" in status.stdout


def test_a_crash_in_the_foreground_is_the_commands_own(running: Machine) -> None:
    with running.spawn("worker", "start", "--queue-id=crash") as foreground:
        foreground.until_said("Ready")
        (record,) = [row for row in running.json("worker", "list") if row["queue"] == "crash"]  # type: ignore[union-attr]
        psutil.Process(record["pid"]).kill()
        assert foreground.process.wait(20) == 128 + signal.SIGKILL
    status = running.run("worker", "status", "--queue-id=crash")
    assert status.returncode == 1 and "killed by signal 9" in status.stdout


def test_a_crash_is_known_to_the_control_plane_before_its_heartbeats_are_missed(daemon: Machine) -> None:
    before: Any = daemon.json("worker", "status", QUEUE)
    psutil.Process(before["record"]["worker"]["pid"]).kill()

    def state() -> str:
        rows: Any = daemon.json("worker", "list", "--all")
        return next((row["state"] for row in rows if row["worker_id"] == before["record"]["worker_id"]), "")

    until(lambda: state() == "lost", "it counts as lost", 15)
    # The other one is told of by this machine and by the control plane: it is listed once.
    until(lambda: daemon.run("worker", "status", QUEUE).returncode == 0, "another one runs")

    def live() -> list[str]:
        rows: Any = daemon.json("worker", "list", "--all", "--queue=q")
        return [row["type"] for row in rows if row["state"] in ("running", "active")]

    until(lambda: live() == ["daemon"], "it is there, once")


def test_the_log_is_shown_filtered_and_followed(daemon: Machine) -> None:
    fine(daemon, "exec", "--queue", "q", "--yes", "Run `echo one`")
    whole = fine(daemon, "worker", "logs", QUEUE)
    assert "Connected to Temporal" in whole and "Task completed" in whole
    assert len(fine(daemon, "worker", "logs", QUEUE, "--tail=2").splitlines()) == 2
    assert fine(daemon, "worker", "logs", QUEUE, "--level=error") == ""
    assert "Ready" in fine(daemon, "worker", "logs", QUEUE, "--since=1h", "--grep=Re[a]dy", "--tail=1")
    assert fine(daemon, "worker", "logs", QUEUE, "--since=2100-01-01T00:00:00Z") == ""
    for wrong in ("--since=yesterday", "--grep=(", "--tail=-1"):
        assert daemon.run("worker", "logs", QUEUE, wrong).returncode == USAGE
    with daemon.spawn("worker", "logs", QUEUE, "--follow", "--tail=0") as follower:
        time.sleep(1)  # its beginning is not to be seen: it shows nothing yet
        fine(daemon, "exec", "--queue", "q", "--yes", "Run `echo two`")
        follower.until_said("Task completed")
        assert follower.end(signal.SIGINT) == 130
    nothing = daemon.run("worker", "logs", "--queue-id=unknown")
    assert nothing.returncode == 1 and "no log" in nothing.stderr


WRITER = """
import sys, time
from pathlib import Path
from kubiya_workers.launchers.upkeep.rotation import LogLimits, RotatingLog
log = RotatingLog(Path(sys.argv[1]), LogLimits(1_000_000, 10), on_gap=print)
began = time.monotonic()
for batch in range(500):  # 10,000 lines a second, for five seconds
    log.write("".join(f"{batch * 100 + line} {'x' * 60}\\n" for line in range(100)).encode())
    time.sleep(max(0.0, began + (batch + 1) / 100 - time.monotonic()))
log.close()
"""


def test_no_line_is_lost_or_doubled_while_it_is_rotated_and_followed(running: Machine) -> None:
    path = running.home / ".kubiya/workers/busy/logs/worker.log"
    path.parent.mkdir(parents=True)
    path.touch()
    with running.spawn("worker", "logs", "--queue-id=busy", "--follow") as follower:
        writer = subprocess.run([sys.executable, "-c", textwrap.dedent(WRITER), str(path)], check=True, timeout=120)
        assert writer.returncode == 0
        until(lambda: "49999 " in follower.out.read_text()[-1000:], "all is shown")
        assert [int(line.split()[0]) for line in follower.out.read_text().splitlines()] == list(range(50_000))
        follower.end(signal.SIGINT)
    assert path.with_name("worker.log.3").exists()


def test_what_is_cleaned_is_shown_first_and_never_what_a_link_leads_to(running: Machine) -> None:
    fine(running, "worker", "start", "--queue-id=old", "-d")
    refused = running.run("worker", "clean", "--queue-id=old", "--yes")
    assert refused.returncode == REFUSED and "worker stop" in refused.stderr
    fine(running, "worker", "stop", "--queue-id=old")
    directory = running.home / ".kubiya/workers/old"
    outside = running.home / "outside"
    (outside / "kept").mkdir(parents=True)
    (directory / "link").symlink_to(outside)
    unasked = running.run("worker", "clean", "--queue-id=old")
    assert unasked.returncode == USAGE and directory.exists()
    assert str(directory) in unasked.stderr
    removed: Any = running.json("worker", "clean", "--queue-id=old", "--yes")
    assert str(directory) in removed["removed"]
    assert not directory.exists() and (outside / "kept").exists()
    assert "Nothing is left" in fine(running, "worker", "clean", "--queue-id=old", "--yes")

    directory.symlink_to(outside)
    fine(running, "worker", "clean", "--queue-id=old", "--yes")
    assert not directory.is_symlink() and (outside / "kept").exists()


def test_a_running_one_is_cleaned_by_force(running: Machine) -> None:
    fine(running, "worker", "start", "--queue-id=forced", "-d")
    fine(running, "worker", "clean", "--queue-id=forced", "--force")
    assert not (running.home / ".kubiya/workers/forced").exists()
    assert not running.workers()


def test_stopping_what_drains_too_long_kills_its_whole_tree(running: Machine) -> None:
    fine(running, "worker", "start", "--queue-id=slow", "-d")
    with running.spawn("exec", "--queue", "slow", "--yes", "Run `echo begun >> slow.txt; sleep 64`"):
        until((running.work / "slow.txt").exists, "the tool runs")
        fine(running, "worker", "stop", "--queue-id=slow", "--timeout=1")
        assert not running.workers()
        until(lambda: not running.running(lambda words: "sleep" in words and "64" in words), "its tool is gone", 15)
    fine(running, "worker", "stop", "--queue-id=slow")


def test_flags_are_settings(running: Machine) -> None:
    fine(running, "worker", "start", "--queue-id=flags", "-d", "--idle-timeout=5s", "--health-addr=127.0.0.1:0")
    until(lambda: running.run("worker", "status", "--queue-id=flags").returncode == 1, "it had nothing to do", 40)
    log = fine(running, "worker", "logs", "--queue-id=flags")
    assert "nothing to do for" in log
    for wrong, status in (
        ("--idle-timeout=soon", USAGE),
        ("--max-log-size=1", USAGE),
        ("--health-addr=nonsense", CONFIGURATION),
    ):
        assert running.run("worker", "start", "--queue-id=flags", wrong).returncode == status
    contradiction = running.run("worker", "start", "--queue-id=flags", "-d", "--mode=foreground")
    assert contradiction.returncode == USAGE


def test_a_systemd_unit_that_systemd_accepts(running: Machine, tmp_path: Path) -> None:
    text = fine(running, "worker", "unit", "--queue-id=q", "--user")
    assert f"ExecStart={KUBIYA} worker start --queue-id=q --type=local" in text
    assert "KUBIYA_API_KEY=" not in text
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd on this machine")
    unit = tmp_path / "kubiya-worker-q.service"
    unit.write_text(text)
    checked = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert "kubiya-worker-q" not in checked.stderr, checked.stderr


def test_data_is_data(daemon: Machine) -> None:
    for words in (("status", QUEUE), ("list",), ("list", "--all")):
        json.dumps(daemon.json("worker", *words))
        assert "queue: q" in fine(daemon, "worker", *words, "-o", "yaml")


def test_the_keys_of_a_daemon_are_in_no_argument_and_no_file(daemon: Machine) -> None:
    key = (daemon.home / ".kubiya/server/credentials").read_text().strip()
    assert not [words for words in daemon.command_lines() if key in " ".join(words)]
    for root in ("workers", "run"):
        for directory, _, files in os.walk(daemon.home / ".kubiya" / root):
            if "venv" not in directory:
                assert all(key not in read(Path(directory, name)) for name in files)


def read(file: Path) -> str:
    """Empty where it has just been moved to its place."""
    with suppress(FileNotFoundError):
        return file.read_text(errors="replace")
    return ""
