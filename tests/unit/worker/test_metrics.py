"""What a worker counts, and the page that shows it."""

import asyncio
import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests import monitoring

from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.pool import Mode, Pause, ProcessRef, Record, Slots, StartedWith, UpkeepState, WorkerReport
from kubiya_workers.contracts.tools import ToolResult, ToolStatus
from kubiya_workers.contracts.workers import WorkerStatus
from kubiya_workers.worker.connection import Backlog
from kubiya_workers.worker.metrics import Metrics, ModelMeter, StepKind, StepResult
from kubiya_workers.worker.metrics.restarts import of_record
from kubiya_workers.worker.metrics.sdk import fetched

NOW = datetime.now(UTC)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return monitoring.value(metrics.page(), name, **labels)


def names(metrics: Metrics) -> set[str]:
    return {family.name for family in text_string_to_metric_families(metrics.page().decode())}


def report(**changes: object) -> WorkerReport:
    fields: dict[str, object] = {
        "queue": "q",
        "hostname": "h",
        "pid": 1,
        "version": "1",
        "status": WorkerStatus.ACTIVE,
        "ready": True,
        "taking": True,
        "started_at": NOW,
        "uptime_s": 5.0,
        "activities": Slots(used=3, total=10),
        "workflows": Slots(used=1, total=5),
        "control_plane_url": "http://127.0.0.1:1",
    }
    return WorkerReport.model_validate({**fields, **changes})


def result(tool: str, status: ToolStatus = ToolStatus.SUCCESS) -> ToolResult:
    return ToolResult(call_id="c", tool=tool, status=status, content="", duration_ms=250)


def test_steps_are_counted_by_kind_and_result() -> None:
    metrics = Metrics()
    metrics.step_ended(StepKind.TOOL, StepResult.HANDED_BACK, 2.0)
    metrics.step_ended(StepKind.TOOL, StepResult.COMPLETED, 0.5)
    assert value(metrics, "kubiya_worker_steps_total", kind="tool", result="handed_back") == 1
    assert value(metrics, "kubiya_worker_steps_total", kind="tool", result="completed") == 1
    assert value(metrics, "kubiya_worker_steps_total", kind="model", result="failed") == 0, "there to rise from"
    assert value(metrics, "kubiya_worker_step_duration_seconds_sum", kind="tool") == 2.5


def test_a_step_without_an_edge_says_how_it_ended() -> None:
    metrics = Metrics()
    with metrics.step(StepKind.ANNOUNCE):
        pass
    for error in (ValueError, asyncio.CancelledError):
        with pytest.raises(error), metrics.step(StepKind.ANNOUNCE):
            raise error
    for ended in ("completed", "failed", "cancelled"):
        assert value(metrics, "kubiya_worker_steps_total", kind="announce", result=ended) == 1


def test_an_execution_is_seen_once() -> None:
    metrics = Metrics()
    for execution in ("a", "b", "a"):
        metrics.execution_seen(execution)
    assert value(metrics, "kubiya_worker_executions_seen_total") == 2


def test_a_model_call_tells_of_time_tokens_and_cost() -> None:
    metrics, meter = Metrics(), ModelMeter()
    with metrics.model_call("m", meter):
        meter.heard()
        meter.heard()
        meter.usage = Usage(input_tokens=10, output_tokens=5, cached_tokens=4, reasoning_tokens=2, cost_usd=0.25)
    assert value(metrics, "kubiya_worker_model_calls_total", model="m", result="completed") == 1
    assert value(metrics, "kubiya_worker_model_first_token_seconds_count", model="m") == 1
    amounts = {"input": 10, "output": 5, "cached": 4, "reasoning": 2}
    for direction, amount in amounts.items():
        assert value(metrics, "kubiya_worker_model_tokens_total", model="m", direction=direction) == amount
    assert value(metrics, "kubiya_worker_model_cost_usd_total", model="m") == 0.25


def test_a_model_call_that_failed_or_was_cancelled_has_no_first_text() -> None:
    metrics = Metrics()
    for error, ended in ((ValueError, "failed"), (asyncio.CancelledError, "cancelled")):
        with pytest.raises(error), metrics.model_call("m", ModelMeter()):
            raise error
        assert value(metrics, "kubiya_worker_model_calls_total", model="m", result=ended) == 1
    assert "kubiya_worker_model_first_token_seconds" not in names(metrics)


def test_usage_that_is_nonsense_fails_no_paid_call() -> None:
    metrics, meter = Metrics(), ModelMeter(usage=Usage(input_tokens=-5, cost_usd=-1.0))
    with metrics.model_call("m", meter):
        pass
    assert value(metrics, "kubiya_worker_model_tokens_total", model="m", direction="input") == 0


def test_names_that_agents_choose_are_bounded() -> None:
    metrics = Metrics()
    for number in range(500):
        metrics.tool_call_ended(result(f"tool-{number}"))
    metrics.tool_call_ended(result("tool-0"))
    page = metrics.page()
    assert page.count(b"kubiya_worker_tool_calls_total{") <= 65
    assert value(metrics, "kubiya_worker_tool_calls_total", tool="tool-0", result="success") == 2
    assert value(metrics, "kubiya_worker_tool_calls_total", tool="other", result="success") > 400


@pytest.mark.parametrize("name", ["\ud800", 'a"b\\c\nd', "x" * 10_000, ""])
def test_a_page_can_be_read_whatever_a_tool_is_called(name: str) -> None:
    metrics = Metrics()
    metrics.tool_call_ended(result(name))
    assert value(metrics, "kubiya_worker_tool_calls_total", tool=_shown(name), result="success") == 1


def _shown(name: str) -> str:
    return name[:120].encode("utf-8", "replace").decode()


def test_a_settled_call_is_counted_but_took_no_time() -> None:
    metrics = Metrics()
    metrics.tool_call_settled(result("shell", ToolStatus.UNKNOWN))
    assert value(metrics, "kubiya_worker_tool_calls_total", tool="shell", result="unknown") == 1
    assert "kubiya_worker_tool_call_duration_seconds" not in names(metrics)


def test_states_are_those_of_the_report() -> None:
    metrics = Metrics()
    assert "kubiya_worker_ready" not in names(metrics), "nothing is said of a worker before it knows itself"
    last_poll = datetime.now(UTC) - timedelta(seconds=30)
    metrics.show(
        lambda: report(
            worker_id="w",
            memory=100,
            memory_limit=200,
            executions=("a", "b"),
            last_poll=last_poll,
            pause=Pause(since=NOW),
        ),
        restarts=lambda: 4,
    )
    assert value(metrics, "kubiya_worker_info", version="1", queue="q", worker_id="w", hostname="h") == 1
    assert value(metrics, "kubiya_worker_slots_used", kind="activity") == 3
    assert value(metrics, "kubiya_worker_slots", kind="workflow") == 5
    assert value(metrics, "kubiya_worker_paused") == 1
    assert value(metrics, "kubiya_worker_memory_limit_bytes") == 200
    assert value(metrics, "kubiya_worker_executions_running") == 2
    assert value(metrics, "kubiya_worker_restarts_total") == 4
    assert 30 <= value(metrics, "kubiya_worker_poll_age_seconds") < 60
    assert "kubiya_worker_heartbeat_age_seconds" not in names(metrics), "there was none yet"


def test_a_clock_that_was_set_back_makes_no_negative_age() -> None:
    metrics = Metrics()
    metrics.show(lambda: report(last_poll=NOW + timedelta(hours=1)))
    assert value(metrics, "kubiya_worker_poll_age_seconds") == 0


def test_the_backlog_is_shown_by_kind() -> None:
    metrics = Metrics()
    metrics.backlog("q", {"workflow": Backlog(), "activity": Backlog(tasks=7, age_s=12.5)})
    assert value(metrics, "kubiya_worker_queue_backlog_tasks", queue="q", kind="activity") == 7
    assert value(metrics, "kubiya_worker_queue_backlog_age_seconds", queue="q", kind="activity") == 12.5


def test_there_is_nothing_of_the_client_library_on_the_page(tmp_path: Path) -> None:
    metrics = Metrics(home=tmp_path)
    assert not [name for name in names(metrics) if name.endswith("_created")]
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "kubiya_worker_disk_free_bytes"} <= names(metrics)


def test_two_workers_in_one_process_share_nothing() -> None:
    one, other = Metrics(), Metrics()
    one.heartbeat("ok", 0.01)
    assert value(other, "kubiya_worker_heartbeats_total", result="ok") == 0


def test_restarts_are_those_that_the_supervisor_noted_of_this_process(tmp_path: Path) -> None:
    path = tmp_path / "worker.json"
    restarts = of_record(path)
    assert restarts() == 0
    path.write_text(_record(os.getpid()).model_dump_json())
    assert restarts() == 3
    path.write_text(_record(1).model_dump_json())
    assert restarts() == 0, "the record is another process's"
    path.write_text("{")
    assert restarts() == 0


def _record(pid: int) -> Record:
    return Record(
        queue="q",
        mode=Mode.DAEMON,
        state=UpkeepState.RUNNING,
        supervisor=ProcessRef(pid=1, start="1"),
        worker=ProcessRef(pid=pid, start="1"),
        version="1",
        control_plane_url="http://127.0.0.1:1",
        log="worker.log",
        started_with=StartedWith(cwd="/", max_log_size=1, max_log_backups=1),
        started_at=NOW,
        restarts=3,
        updated_at=NOW,
    )


@contextmanager
def serving(body: bytes) -> Iterator[str]:
    """An SDK's listener, as far as a scrape sees it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_sdks_page_is_part_of_ours() -> None:
    with serving(b"# TYPE temporal_x gauge\ntemporal_x 1\n") as url:
        metrics = Metrics(sdk_url=url)
        assert value(metrics, "temporal_x") == 1
        assert value(metrics, "kubiya_worker_executions_seen_total") == 0
    assert "temporal_x" not in names(metrics), "an SDK that does not answer costs the rest of the page nothing"


def test_a_page_that_was_cut_ends_with_a_whole_line() -> None:
    with serving(b"temporal_x 1\ntemporal_y 12") as url:
        assert fetched(url) == b"temporal_x 1\n"
    with serving(b"") as url:
        assert fetched(url) == b""
