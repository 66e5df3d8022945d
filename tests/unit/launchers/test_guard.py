"""Children that must not outlive their owner: with real processes, really killed."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from tests.processes import alive, ended

from kubiya_workers.launchers.guard import Guard, end_group, members, start_time

LIMIT_S = 15.0

OWNER = """
import subprocess, sys, time
from kubiya_workers.launchers.guard import Guard
guard = Guard.start()
child = subprocess.Popen(["/bin/sh", "-c", sys.argv[1]], start_new_session=True, stdout=subprocess.PIPE)
guard.adopt(child.pid, grace=float(sys.argv[2]))
released = subprocess.Popen(["sleep", "600"], start_new_session=True)
guard.adopt(released.pid, grace=1)
guard.release(released.pid)
child.stdout.read(1)  # it is there, and so are its own children
print(child.pid, guard.pid, released.pid, flush=True)
time.sleep(600)
"""
FAMILY = "sleep 600 & timeout 600 sleep 600 & (sleep 600 & wait) & sleep 0.05; echo; wait"
STUBBORN = "trap '' TERM; sleep 600 & sleep 0.05; echo; wait; while :; do sleep 600; done"


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


@contextlib.contextmanager
def group(command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["/bin/sh", "-c", command], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()


@pytest.mark.parametrize(("command", "grace"), [(FAMILY, 5.0), (STUBBORN, 0.2)])
def test_a_killed_owner_takes_its_children_and_grandchildren_along(command: str, grace: float) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, command, str(grace)], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    child, guard, released = (int(word) for word in owner.stdout.readline().split())
    family = members(child, start_time(child))
    assert len(family) > 1

    owner.kill()
    owner.wait()
    owner.stdout.close()

    eventually(lambda: all(map(ended, [*family, guard])))
    assert alive(released)
    os.kill(released, signal.SIGKILL)


def test_a_terminal_signal_to_the_guard_changes_nothing() -> None:
    with Guard.start() as guard, group(FAMILY) as process:
        assert guard.pid is not None
        guard.adopt(process.pid, grace=1)

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        eventually(lambda: all(_ignores(guard.pid or 0, number) for number in numbers))
        for number in numbers:
            os.kill(guard.pid, number)
        assert os.getsid(guard.pid) == guard.pid
        guard.close()
        assert members(process.pid, start_time(process.pid)) == []


def _ignores(pid: int, number: signal.Signals) -> bool:
    with open(f"/proc/{pid}/status") as status:
        mask = next(line for line in status if line.startswith("SigIgn:")).split()[1]
    return bool(int(mask, 16) & 1 << (number - 1))


def test_a_killed_guard_is_replaced_and_adopts_everything_again() -> None:
    with Guard.start() as guard, group(FAMILY) as first, group(FAMILY) as second:
        guard.adopt(first.pid, grace=1)
        old = guard.pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        eventually(lambda: ended(old))
        guard.adopt(second.pid, grace=1)
        assert guard.pid != old
        guard.close()
        assert members(first.pid, start_time(first.pid)) == members(second.pid, start_time(second.pid)) == []


def test_a_reused_number_is_never_signalled() -> None:
    with group("echo; sleep 600") as process:
        assert members(process.pid, "another start time") == []
        asyncio.run(end_group(process.pid, 0.1, start="another start time"))
        assert process.poll() is None


def test_a_group_whose_leader_died_is_still_ended() -> None:
    with group("sleep 600 & echo") as process:
        start = start_time(process.pid)
        process.wait()
        assert len(members(process.pid, start)) == 1
        asyncio.run(end_group(process.pid, 5, start=start))
        assert members(process.pid, start) == []


def test_a_stopped_group_is_ended_too() -> None:
    with group("echo; sleep 600") as process:
        os.killpg(process.pid, signal.SIGSTOP)
        asyncio.run(end_group(process.pid, 5))
        assert process.wait() == -signal.SIGTERM


def test_a_group_that_ignores_being_asked_is_killed() -> None:
    with group(STUBBORN) as process:
        asyncio.run(end_group(process.pid, 0.1))
        assert process.wait() == -signal.SIGKILL


async def test_a_cancelled_ending_kills_at_once() -> None:
    with group(STUBBORN) as process:
        ending = asyncio.create_task(end_group(process.pid, 600))
        await asyncio.sleep(0.05)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert process.wait() == -signal.SIGKILL


def test_other_children_do_not_inherit_the_pipe() -> None:
    with Guard.start() as guard:
        assert guard.pid is not None
        sleeper = subprocess.Popen(["sleep", "600"], close_fds=False, start_new_session=True)
        pid = guard.pid
        guard.close()
        assert ended(pid)
        sleeper.kill()
        sleeper.wait()


def test_closing_twice_and_using_a_closed_guard_is_harmless() -> None:
    guard = Guard.start()
    guard.close()
    guard.close()
    guard.adopt(os.getpid(), grace=0)
    guard.release(os.getpid())
    assert guard.pid is None
