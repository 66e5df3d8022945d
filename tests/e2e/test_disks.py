"""Homes on disks that are full or cannot be written: real ones, in a mount namespace of the test's own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .machine import KUBIYA, Machine, served

UNSHARE = shutil.which("unshare")
CONFIGURATION = 6


def may_mount() -> bool:
    if UNSHARE is None or os.geteuid() != 0:
        return False
    words = [UNSHARE, "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="this machine lets us mount nothing")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with served(tmp_path_factory.mktemp("disks")) as machine:
        yield machine


def apart(machine: Machine, script: str) -> subprocess.CompletedProcess[str]:
    """A script of bash that sees mounts of its own; `kubiya` is on its path."""
    env = {**machine.environ, "PATH": f"{KUBIYA.parent}:{machine.environ['PATH']}"}
    assert UNSHARE is not None
    return subprocess.run(
        [UNSHARE, "--mount", "bash", "-euc", script], cwd=machine.work, env=env, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_home_that_cannot_be_written_is_named_and_nothing_is_started(running: Machine) -> None:
    (running.home / ".kubiya/workers").mkdir(exist_ok=True)
    (running.home / ".kubiya/run").mkdir(exist_ok=True)
    for place in ("workers", "run"):
        script = f"mount -t tmpfs -o ro none ~/.kubiya/{place}; kubiya worker start --queue-id=q -d"
        refused = apart(running, script)
        assert refused.returncode == CONFIGURATION, refused.stderr
        assert str(running.home / ".kubiya" / place) in refused.stderr
        assert "Read-only file system" in refused.stderr
        assert not running.workers()


FULL = """
kubiya worker start --queue-id=q > /dev/null 2>&1 & first=$!
for _ in $(seq 300); do grep -qs "Ready" ~/.kubiya/workers/q/logs/worker.log && break; sleep 0.1; done
kill $first; wait $first
mount -t tmpfs -o size=128k none ~/.kubiya/workers/q/logs
kubiya worker start --queue-id=q -d > /dev/null
dd if=/dev/zero of="$HOME/.kubiya/workers/q/logs/filler" bs=1k count=1000 2> /dev/null || true
for _ in $(seq 15); do kubiya exec --queue q --yes 'Run `echo full`' > /dev/null; done
grep -c "Task completed" ~/.kubiya/workers/q/logs/worker.log || true
echo ---
rm ~/.kubiya/workers/q/logs/filler
kubiya exec --queue q --yes 'Run `echo again`' > /dev/null
kubiya worker stop --queue-id=q > /dev/null
cat ~/.kubiya/workers/q/logs/worker.log
"""


def test_a_full_disk_stops_no_worker_and_loses_no_line(running: Machine) -> None:
    done = apart(running, FULL)
    assert done.returncode == 0, done.stderr
    written, _, log = done.stdout.partition("---")
    # Two model calls and a tool call of each run, those from when nothing could be written included.
    assert int(written) < 3 * 15, "the last page of the file had room for some"
    assert log.count("Task completed") == 3 * 16
    assert "Log lines are missing" not in log
    assert not running.workers()
    assert Path(running.home / ".kubiya/workers/q/logs/worker.log").exists()
