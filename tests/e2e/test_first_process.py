"""The command as the first process of a container."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from .machine import KUBIYA, Machine, until

UNSHARE = shutil.which("unshare")
ALONE = ["--pid", "--fork", "--mount-proc", "--kill-child"]


def may_unshare() -> bool:
    if UNSHARE is None or os.geteuid() != 0:
        return False
    return subprocess.run([UNSHARE, *ALONE, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_unshare(), reason="this machine gives us no process namespace of our own")

ORPHANS = """
import os, subprocess, sys, time
from pathlib import Path
# A tool that leaves an orphan behind, which ends later: somebody has to reap it.
subprocess.run(["sh", "-c", "(sleep 0.3 &) ; exit 0"])
time.sleep(1.0)
stats = [Path(f"/proc/{pid}/stat").read_text() for pid in os.listdir("/proc") if pid.isdigit()]
states = [line.split()[2] for line in stats]
print("zombies", states.count("Z"), "parent", os.getppid())
"""


def test_orphans_are_reaped(machine: Machine) -> None:
    program = "from kubiya_workers.launchers.upkeep.init import become_init_if_first; become_init_if_first();" + ORPHANS
    assert UNSHARE is not None
    done = subprocess.run(
        [UNSHARE, *ALONE, sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "zombies 0 parent 1\n"


def test_its_status_is_the_commands(machine: Machine) -> None:
    assert UNSHARE is not None
    words = [UNSHARE, *ALONE, KUBIYA, "worker", "start", "--queue-id=q", "--idle-timeout=soon"]
    done = subprocess.run(words, env=machine.environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "idle-timeout" in done.stderr


def test_a_worker_drains_when_its_container_is_told_to_stop(machine: Machine) -> None:
    assert UNSHARE is not None
    out = machine.root / "out"
    with out.open("wb") as log:
        container = subprocess.Popen(
            [UNSHARE, *ALONE, KUBIYA, "worker", "start", "--queue-id=q"],
            env=machine.environ, cwd=machine.work, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until(lambda: "Ready" in out.read_text() or container.poll() is not None, "the worker polls")
        (first,) = [p for p in machine.processes() if p.ppid() == container.pid]
        first.send_signal(signal.SIGTERM)
        assert container.wait(60) == 0, out.read_text()
        assert "Disconnected" in out.read_text()
        machine.assert_nothing_left()
    finally:
        container.kill()
        container.wait()
        machine.kill_everything()
