"""Pages of metrics: how they are read and checked, and those of the real classes with every series at least once."""

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.health import Check
from kubiya_workers.contracts.jobs import Outcome, TriggerType
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.pool import Slots, WorkerReport
from kubiya_workers.contracts.tools import ToolResult, ToolStatus
from kubiya_workers.contracts.workers import WorkerStatus
from kubiya_workers.control_plane.metrics import Metrics as PlaneMetrics
from kubiya_workers.control_plane.metrics.states import States
from kubiya_workers.control_plane.store.states import OpenRuns, WorkersOfQueue
from kubiya_workers.worker.connection import Backlog
from kubiya_workers.worker.metrics import Metrics as WorkerMetrics
from kubiya_workers.worker.metrics import ModelMeter, StepKind, StepResult

ROOT = Path(__file__).parents[1]
MONITORING = ROOT / "deploy" / "monitoring"
NOW = datetime.now(UTC)


def promtool(*words: str, stdin: bytes | None = None) -> None:
    """Run it among the files of monitoring; it must agree, and have nothing to remark."""
    own = ROOT / ".tools" / "bin" / "promtool"
    found = str(own) if own.exists() else shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not here: scripts/setup fetches it where Debian's packages can be reached")
    done = subprocess.run([found, *words], cwd=MONITORING, input=stdin, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert not done.stderr, done.stderr.decode()


def value(page: bytes, name: str, **labels: str) -> float:
    """Of the one series that has just these labels."""
    families = text_string_to_metric_families(page.decode())
    found = [s.value for family in families for s in family.samples if s.name == name and s.labels == labels]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def a_worker_page(home: Path) -> bytes:
    """Of a worker that has done everything once."""
    metrics, meter = WorkerMetrics(home=home), ModelMeter()
    metrics.execution_seen("e")
    metrics.step_ended(StepKind.MODEL, StepResult.COMPLETED, 1.0)
    with metrics.model_call("m", meter):
        meter.heard()
        meter.usage = Usage(input_tokens=1, output_tokens=1, cost_usd=0.1)
    metrics.tool_call_ended(ToolResult(call_id="c", tool="shell", status=ToolStatus.SUCCESS, content=""))
    metrics.heartbeat("ok", 0.01)
    metrics.probed("polling")
    metrics.backlog("q", {"workflow": Backlog(), "activity": Backlog(1, 1.0)})
    metrics.show(a_report)
    return metrics.page()


def a_report() -> WorkerReport:
    return WorkerReport(
        worker_id="w",
        queue="q",
        hostname="h",
        pid=1,
        version="1",
        status=WorkerStatus.ACTIVE,
        ready=True,
        taking=True,
        started_at=NOW,
        uptime_s=1.0,
        activities=Slots(used=1, total=10),
        workflows=Slots(used=0, total=5),
        last_poll=NOW,
        last_heartbeat=NOW,
        memory=1,
        memory_limit=2,
        control_plane_url="http://127.0.0.1:1",
    )


def a_plane_page(home: Path) -> bytes:
    """Of a control plane that has done everything once."""
    metrics = PlaneMetrics(home)
    metrics.answered("GET", "/health", 200, 0.001)
    metrics.execution_submitted()
    metrics.execution_ended(Status.COMPLETED)
    metrics.job_fired(TriggerType.CRON, Outcome.FIRED, late_s=0.1)
    metrics.events_appended(1)
    metrics.committed(0.001)
    metrics.model_call_ended("m", "litellm", "completed", 0.5)
    states = States(
        checks={"database": Check(ok=True, latency_ms=0.5), "temporal": Check(ok=True, latency_ms=0.5)},
        workers=[WorkersOfQueue("q", False, WorkerStatus.ACTIVE, 1, NOW)],
        runs=[OpenRuns("q", False, Status.RUNNING, 1)],
        dialect="sqlite",
    )
    return metrics.render(states, readers=1)
