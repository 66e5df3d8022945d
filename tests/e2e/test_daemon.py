"""Workers that a supervisor keeps: killed, killed together, started twice, and always told of truthfully."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from tests.processes import alive, ended

from .machine import KUBIYA, Machine, served, until

START = ("worker", "start", "--type=local", "--daemon")
NOTICED_WITHIN_S = 5.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Each test has a queue of its own on it."""
    with served(tmp_path_factory.mktemp("daemons")) as machine:
        yield machine


@contextmanager
def kept(machine: Machine, queue: str) -> Iterator[None]:
    """A daemon on this queue, stopped at the end."""
    started = machine.run(*START, f"--queue-id={queue}")
    assert started.returncode == 0, started.stderr
    try:
        yield
    finally:
        assert machine.run("worker", "stop", f"--queue-id={queue}").returncode == 0


def told(machine: Machine, queue: str) -> dict[str, str]:
    """What `cat daemon_info.txt` says, as a script reads it."""
    text = (machine.home / ".kubiya" / "workers" / queue / "daemon_info.txt").read_text()
    return dict(line.split(": ", 1) for line in text.splitlines() if re.match(r"[a-z_]+: ", line))


def pid_of_running(machine: Machine, queue: str) -> str | None:
    """The file is read once: the worker of two readings need not be the same."""
    with suppress(OSError):
        facts = told(machine, queue)
        return facts["pid"] if facts.get("state") == "running" else None
    return None


def worker_of(machine: Machine, queue: str) -> psutil.Process:
    return psutil.Process(int(told(machine, queue)["pid"]))


def supervisor_of(machine: Machine, queue: str) -> psutil.Process:
    return psutil.Process(int(told(machine, queue)["supervisor_pid"]))


def runs(machine: Machine, queue: str) -> None:
    done = machine.run("exec", "--queue", queue, "Run `echo alive`", "--yes")
    assert done.returncode == 0, done.stderr
    assert "alive" in done.stdout


def test_a_daemon_outlives_its_terminal_and_is_told_of(running: Machine) -> None:
    with kept(running, "outlives"):
        facts = told(running, "outlives")
        assert facts["state"] == "running"
        assert (running.home / ".kubiya/workers/outlives/daemon_info.txt").stat().st_mode & 0o777 == 0o600
        worker = worker_of(running, "outlives")
        words = worker.cmdline()
        assert words[0].endswith("/.kubiya/workers/outlives/venv/bin/python")
        assert words[1].endswith("/.kubiya/workers/outlives/worker.py")
        assert words[2:] == ["--queue-id", "outlives"]
        assert os.getsid(worker.pid) != os.getsid(0)
        runs(running, "outlives")
        assert running.run("worker", "status", "--queue-id=outlives").returncode == 0
    assert running.run("worker", "status", "--queue-id=outlives").returncode == 1
    assert told(running, "outlives")["state"] == "stopped"


def test_a_killed_worker_is_started_again(running: Machine) -> None:
    with kept(running, "killed"):
        first = worker_of(running, "killed")
        first.kill()
        until(lambda: pid_of_running(running, "killed") not in (None, str(first.pid)), "another one runs")
        assert told(running, "killed")["restarts"] == "1"
        runs(running, "killed")


def test_a_worker_that_is_told_to_end_is_not_started_again(running: Machine) -> None:
    """By its command line, as `pkill -f` does: it drains, and that was the end of it."""
    started = running.run(*START, "--queue-id=told-to-end")
    assert started.returncode == 0, started.stderr
    supervisor = supervisor_of(running, "told-to-end")
    # This machine may have other workers of that name: only those of this home are meant.
    for process in running.running(lambda words: bool(re.search(r"worker\.py.*told-to-end", " ".join(words)))):
        process.send_signal(signal.SIGTERM)
    until(lambda: told(running, "told-to-end")["state"] == "stopped", "it is stopped")
    until(lambda: ended(supervisor), "the supervisor ends with it")
    assert not running.workers()


def test_a_killed_supervisor_is_noticed_and_replaced(running: Machine) -> None:
    with kept(running, "alone"):
        worker, supervisor = worker_of(running, "alone"), supervisor_of(running, "alone")
        log = running.home / ".kubiya/workers/alone/logs/worker.log"
        supervisor.kill()
        killed = time.monotonic()
        until(lambda: "Draining" in log.read_text() or ended(worker), "the worker drains", 15)
        assert time.monotonic() - killed < NOTICED_WITHIN_S * 2  # a busy machine gets twice the time
        again = running.run(*START, "--queue-id=alone")
        assert again.returncode == 0, again.stderr
        assert told(running, "alone")["supervisor_pid"] != str(supervisor.pid)
        until(lambda: ended(worker), "the old worker is gone", 40)
        runs(running, "alone")


def test_one_that_is_alive_but_does_not_answer_is_replaced(running: Machine) -> None:
    """As a worker whose every thread hangs: it cannot drain, and is woken, asked and, if need be, killed."""
    with kept(running, "hanging"):
        first = worker_of(running, "hanging")
        first.suspend()
        until(lambda: pid_of_running(running, "hanging") not in (None, str(first.pid)), "another one runs", 90)
        facts = told(running, "hanging")
        assert facts["last_restart_reason"] == "it does not answer at its health address"
        assert (facts["restarts"], facts["crashes_in_a_row"]) == ("1", "1")
        assert ended(first)
        runs(running, "hanging")


def test_both_killed_at_once(running: Machine) -> None:
    with kept(running, "both"):
        worker, supervisor = worker_of(running, "both"), supervisor_of(running, "both")
        supervisor.suspend()
        worker.kill()
        supervisor.kill()
        until(lambda: ended(worker) and ended(supervisor), "both are gone")
        status = running.run("worker", "status", "--queue-id=both")
        assert status.returncode == 1
        assert "killed" in status.stdout
        assert running.run(*START, "--queue-id=both").returncode == 0
        runs(running, "both")


def test_a_daemon_started_twice_at_the_same_moment_is_one(running: Machine) -> None:
    starts = [
        subprocess.Popen(
            [KUBIYA, *START, "--queue-id=twice"], cwd=running.work, env=running.environ, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    said = [start.communicate(timeout=90)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], said
    assert len(running.workers()) == 1
    assert sum("already" in text for text in said) == 2, said
    assert running.run("worker", "stop", "--queue=twice").returncode == 0


def test_a_stale_record_whose_pid_is_another_programs(running: Machine) -> None:
    with kept(running, "stale"):
        pass
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        record = running.home / ".kubiya/run/stale/worker.json"
        record.write_text(re.sub(r'"pid": ?\d+', f'"pid": {bystander.pid}', record.read_text()))
        info = running.home / ".kubiya/workers/stale/daemon_info.txt"
        info.write_text(re.sub(r"pid: \d+", f"pid: {bystander.pid}", info.read_text()))
        assert running.run("worker", "status", "--queue-id=stale").returncode == 1
        assert running.run("worker", "stop", "--queue-id=stale").returncode == 0
        assert bystander.poll() is None
        with kept(running, "stale"):
            assert worker_of(running, "stale").pid != bystander.pid
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_two_queues_on_one_host(running: Machine) -> None:
    with kept(running, "one"), kept(running, "two"):
        runs(running, "one")
        runs(running, "two")
        listed = running.run("worker", "list")
        assert listed.returncode == 0
        assert "one" in listed.stdout
        assert "two" in listed.stdout


def test_stops_and_restarts_at_the_same_time(running: Machine) -> None:
    """Whatever the order: at the end there is one worker or none, and the status says so.

    Each command succeeds, but for a restart whose worker another one stops while it starts, which says so.
    """
    assert running.run(*START, "--queue-id=stopping").returncode == 0
    commands = ["stop", "restart", "stop", "restart"]
    threads_done: list[tuple[str, int, str]] = []

    def command(word: str) -> None:
        done = running.run("worker", word, "--queue-id=stopping")
        threads_done.append((word, done.returncode, done.stderr))

    threads = [threading.Thread(target=command, args=(word,)) for word in commands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(word for word, *_ in threads_done) == sorted(commands), threads_done
    failed = [(word, said) for word, status, said in threads_done if status != 0]
    assert all(word == "restart" and "it was told to end" in said for word, said in failed), threads_done
    left = len(running.workers())
    assert left in (0, 1)
    assert running.run("worker", "status", "--queue-id=stopping").returncode == 1 - left
    assert running.run("worker", "stop", "--queue-id=stopping").returncode == 0
    assert not running.workers()


def test_a_worker_that_cannot_start_says_why_and_leaves_nothing(running: Machine) -> None:
    refused = running.run(*START, "--queue-id=refused", env={"HEARTBEAT_INTERVAL": "5"})
    assert refused.returncode == 6
    assert "HEARTBEAT_INTERVAL" in refused.stderr
    assert "15 to 300" in refused.stderr
    assert not running.workers()


def test_a_broken_requirement_leaves_the_running_worker_untouched(running: Machine) -> None:
    with kept(running, "broken"):
        before = worker_of(running, "broken")
        (running.home / ".kubiya/workers/broken/requirements.txt").write_text("click==0.0.0.1\n")
        restarted = running.run("worker", "restart", "--queue-id=broken")
        assert restarted.returncode == 6, restarted.stderr
        assert "click" in restarted.stderr
        assert alive(before)
        assert worker_of(running, "broken").pid == before.pid
        runs(running, "broken")
        (running.home / ".kubiya/workers/broken/requirements.txt").write_text("")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_home_that_cannot_be_written(machine: Machine) -> None:
    machine.home.chmod(0o500)
    refused = machine.run(*START, "--queue-id=q")
    machine.home.chmod(0o700)
    assert refused.returncode == 6
