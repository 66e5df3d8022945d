"""What fits into a worker's limits, when it has done enough, and when it is alive and ready."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.settings.source import Source
from kubiya_workers.settings.worker import WorkerSettings
from kubiya_workers.worker.health.checks import Readiness, Vitals, alive, ready
from kubiya_workers.worker.limits import Done, enough, fitting

MI = 1024**2
WELL = Vitals(loop_age=0.5, poll_age=1.0, unseen=False, memory=100 * MI, memory_limit=0)


def settings(tmp_path: Path, **environ: str) -> WorkerSettings:
    needed = {"QUEUE_ID": "q", "CONTROL_PLANE_URL": "http://127.0.0.1:1", "KUBIYA_API_KEY": "k"}
    return WorkerSettings.of(Source({**needed, "KUBIYA_HOME": str(tmp_path), **environ}))


@pytest.mark.parametrize(
    ("wanted", "memory", "cpu", "fit"),
    [
        (10, 0, 0.0, 10),
        (50, 2048 * MI, 0.0, 50),
        (50, 512 * MI, 0.0, 12),
        (50, 0, 1.0, 10),
        (50, 192 * MI, 4.0, 2),
        (10, 0, 0.05, 1),
    ],
)
def test_what_fits(wanted: int, memory: int, cpu: float, fit: int) -> None:
    assert fitting(wanted, memory=memory, cpu=cpu) == fit


@given(st.integers(1, 1000), st.integers(0, 2**40), st.floats(0, 1024))
def test_at_least_one_and_never_more_than_asked(wanted: int, memory: int, cpu: float) -> None:
    assert 1 <= fitting(wanted, memory=memory, cpu=cpu) <= wanted


def test_when_it_is_enough(tmp_path: Path) -> None:
    done = Done(tasks=5, running=0, uptime=100.0, idle=20.0)
    assert enough(settings(tmp_path), done) is None
    assert "5 tasks" in (enough(settings(tmp_path, KUBIYA_MAX_TASKS="5"), done) or "")
    assert enough(settings(tmp_path, KUBIYA_MAX_TASKS="6"), done) is None
    assert "100 s" in (enough(settings(tmp_path, KUBIYA_MAX_UPTIME="1m"), done) or "")
    idle = settings(tmp_path, KUBIYA_IDLE_TIMEOUT="20s")
    assert "nothing to do" in (enough(idle, done) or "")
    assert enough(idle, replace(done, running=1)) is None


@pytest.mark.parametrize(
    ("seen", "failed"),
    [
        (WELL, None),
        (replace(WELL, poll_age=None), None),
        (replace(WELL, loop_age=11.0), "event loop"),
        (replace(WELL, unseen=True, poll_age=31.0), "polling"),
        (replace(WELL, memory=95 * MI, memory_limit=100 * MI), "memory"),
    ],
)
def test_what_is_alive(seen: Vitals, failed: str | None) -> None:
    assert next((check.name for check in alive(seen) if check.state == "failed"), None) == failed


@pytest.mark.parametrize(
    ("seen", "failed"),
    [
        (Readiness(None, None, 10**9), None),
        (Readiness(None, None, None), None),
        (Readiness("draining", None, 10**9), "taking work"),
        (Readiness(None, "no answer", 10**9), "gateway"),
        (Readiness(None, None, 10**6), "disk"),
    ],
)
def test_what_is_ready(seen: Readiness, failed: str | None) -> None:
    assert next((check.name for check in ready(seen) if check.state == "failed"), None) == failed
