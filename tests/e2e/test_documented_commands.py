"""The command blocks that the product's users were given, word for word, as a shell reads them.

`<queue-id>` stands for a queue of theirs. What follows a file for ever (`tail -f`, `logs --follow`) is ended by a
time-out, as a person would by Ctrl-C; names of hosts that this machine does not have are left as they are, and
whatever the network answers is fine.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .machine import KUBIYA, Machine, served, until

LOG = "~/.kubiya/workers/q/logs/worker.log"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with served(tmp_path_factory.mktemp("documented")) as machine:
        yield machine


def shell(machine: Machine, block: str, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    """The block in bash, with `kubiya` on the path."""
    env = {**machine.environ, "PATH": f"{KUBIYA.parent}:{machine.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", block], cwd=machine.work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def daemon(running: Machine) -> Iterator[Machine]:
    """Started with the documented words, used by the blocks below, stopped with the documented words."""
    started = shell(running, "kubiya worker start --queue-id=q --type=local -d")
    assert started.returncode == 0, started.stderr
    used = shell(running, "kubiya exec --queue q --yes 'Run `echo seen`'")
    assert used.returncode == 0, used.stderr
    yield running
    stopped = shell(running, "kubiya worker stop --queue-id=q")
    assert stopped.returncode == 0, stopped.stderr


def test_quick_start(running: Machine) -> None:
    block = """
export LOG_LEVEL=DEBUG
export HEARTBEAT_INTERVAL=15
kubiya worker start --queue-id=dev-queue --type=local & worker=$!
for _ in $(seq 200); do grep -qs "Ready" ~/.kubiya/workers/dev-queue/logs/worker.log && break; sleep 0.1; done
timeout 2 tail -f ~/.kubiya/workers/dev-queue/logs/worker.log
kill -TERM $worker; wait $worker
"""
    done = shell(running, block)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Connected to Temporal" in done.stdout
    made = {entry.name for entry in (running.home / ".kubiya/workers/dev-queue").iterdir()}
    assert made == {"venv", "logs", "worker.py", "requirements.txt"}


def test_daemon_mode(running: Machine) -> None:
    started = shell(running, "kubiya worker start --queue-id=prod-queue --type=local --daemon")
    assert started.returncode == 0, started.stderr
    told = shell(running, "cat ~/.kubiya/workers/prod-queue/daemon_info.txt")
    assert "state: running" in told.stdout
    seen = shell(running, "timeout 1 tail -f ~/.kubiya/workers/prod-queue/logs/worker.log")
    assert "Ready" in seen.stdout
    shell(running, 'pkill -f "worker.py.*prod-queue"')
    until(
        lambda: not running.running(lambda words: "prod-queue" in words),
        "it is gone",
        40,
    )
    info = running.home / ".kubiya/workers/prod-queue/daemon_info.txt"
    until(lambda: "state: stopped" in info.read_text(), "its supervisor says so")


def test_daemon_with_log_settings_as_printed(running: Machine) -> None:
    """The comment after the backslash makes a word of one blank and, of the last line, a command of its own."""
    block = """kubiya worker start \\
  --queue-id=log-queue \\
  --type=local \\
  --daemon \\
  --max-log-size=104857600 \\     # 100MB
  --max-log-backups=10
"""
    done = shell(running, block)
    assert "Error" not in done.stderr, done.stderr
    assert "state: running" in shell(running, "cat ~/.kubiya/workers/log-queue/daemon_info.txt").stdout
    assert shell(running, "kubiya worker stop --queue-id=log-queue").returncode == 0


def test_shorter_words(running: Machine) -> None:
    block = """
kubiya worker start --queue queue-2 --mode daemon && kubiya worker stop --queue queue-2
"""
    done = shell(running, block)
    assert done.returncode == 0, done.stderr


def test_tuned(running: Machine) -> None:
    block = """
export MAX_CONCURRENT_ACTIVITIES=20
export MAX_CONCURRENT_WORKFLOWS=10
export ACTIVITY_TIMEOUT=600
export LOG_LEVEL=DEBUG
export KUBIYA_DEBUG=true
export MEMORY_LIMIT="2Gi"
export CPU_LIMIT="1000m"
kubiya worker start --queue-id=tuned-queue --type=local -d && kubiya worker status --queue-id=tuned-queue \
  && kubiya worker stop --queue-id=tuned-queue
"""
    done = shell(running, block)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (f"timeout 1 tail -f {LOG}", "Task completed"),
        (f"grep ERROR {LOG}", ""),
        (f"tail -n 100 {LOG}", "Ready"),
        (f'timeout 1 tail -f {LOG} | grep "Task completed"', "Task completed"),
        ('ps aux | grep "worker.py.*q"', "worker.py --queue-id q"),
        ("pgrep -f worker.py", ""),
        ("cat ~/.kubiya/workers/q/daemon_info.txt", "state: running"),
        (f'grep "Connected to Temporal" {LOG}', "Connected to Temporal"),
        (f'timeout 1 tail -f {LOG} | grep "metrics"', "Metrics: tasks_completed="),
        (f"tail -n 500 {LOG} | grep ERROR", ""),
        ("~/.kubiya/workers/q/venv/bin/pip list", "kubiya-workers"),
        ("kubiya skill list", "shell"),
        ("kubiya agent get default", "default"),
        (f'timeout 1 tail -f {LOG} | grep "Activity failed"', ""),
        ("python3 --version", "Python 3"),
        ("kubiya worker status --queue-id=q", "running"),
        ("kubiya worker list", "q"),
        ("kubiya worker logs --queue-id=q", "Ready"),
        ("echo $HTTP_PROXY; echo $HTTPS_PROXY; echo $KUBIYA_API_KEY", ""),
    ],
)
def test_looking_at_a_worker(daemon: Machine, block: str, says: str) -> None:
    done = shell(daemon, block)
    assert says in done.stdout, done.stdout + done.stderr
    assert "Error" not in done.stderr


def test_several_queues_side_by_side(running: Machine) -> None:
    block = """
kubiya worker start --queue-id=high-priority-queue --type=local & one=$!
kubiya worker start --queue-id=low-priority-queue --type=local & two=$!
kubiya worker start --queue-id=batch-queue --type=local & three=$!
for queue in high-priority-queue low-priority-queue batch-queue; do
  for _ in $(seq 300); do grep -qs "Ready" ~/.kubiya/workers/$queue/logs/worker.log && break; sleep 0.1; done
  kubiya exec --queue $queue --yes 'Run `echo side-by-side`' || exit 1
done
kill -TERM $one $two $three
wait $one && wait $two && wait $three
"""
    done = shell(running, block, 150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("side-by-side") >= 3


def test_a_virtual_environment_that_was_deleted_is_made_again_and_takes_packages(running: Machine) -> None:
    block = """
rm -rf ~/.kubiya/workers/fix-queue/venv
kubiya worker start --queue-id=fix-queue --type=local -d && kubiya worker stop --queue-id=fix-queue
rm -rf ~/.kubiya/workers/fix-queue/venv
kubiya worker start --queue-id=fix-queue --type=local -d && kubiya worker stop --queue-id=fix-queue
"""
    done = shell(running, block)
    assert done.returncode == 0, done.stderr


def test_clean(running: Machine) -> None:
    assert shell(running, "kubiya worker start --queue-id=old -d && kubiya worker stop --queue-id=old").returncode == 0
    done = shell(running, "kubiya worker clean --queue-id=old --yes")
    assert done.returncode == 0, done.stderr
    assert not Path(running.home / ".kubiya/workers/old").exists()
