"""One real scrape of each process while a run goes through them."""

import re
import subprocess
from collections.abc import Callable

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from kubiya_workers.testing import ScriptedModel, tool
from tests.monitoring import MONITORING, promtool

from .installation import Installation
from .machine import until

Start = Callable[..., ScriptedModel]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(url: str) -> Samples:
    answer = httpx.get(f"{url}/metrics", timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names)), "a family is there twice"
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum over all series of a name that have these labels."""
    return sum(v for (n, have), v in samples.items() if n == name and labels.items() <= dict(have).items())


def test_a_control_plane_counts_what_it_does(installation: Installation, model: Start) -> None:
    installation.serve(model([tool("shell", {"command": "echo hi"}), "done"]).url)
    installation.queue("metered")
    installation.start_worker("metered")
    run = installation.submit("go", agent=installation.agent(), queue="metered")
    assert installation.ended(run)["status"] == "completed"

    def shown() -> bool:
        samples = scrape(installation.url)
        return value(samples, "kubiya_control_plane_workers", queue="metered", state="active") == 1

    until(shown, "the worker is counted", 30)
    samples = scrape(installation.url)
    prefix = "kubiya_control_plane"
    assert value(samples, f"{prefix}_info") == 1
    assert value(samples, f"{prefix}_executions_submitted_total") == 1
    assert value(samples, f"{prefix}_executions_ended_total", status="completed") == 1
    assert value(samples, f"{prefix}_part_up", part="database") == 1
    assert value(samples, f"{prefix}_part_up", part="temporal") == 1
    assert value(samples, f"{prefix}_events_appended_total") > 5
    assert value(samples, f"{prefix}_event_commit_duration_seconds_count") > 2
    assert value(samples, f"{prefix}_executions_open") == 0
    states = {dict(labels)["state"]: v for (name, labels), v in samples.items() if name.endswith("on_demand_workers")}
    assert states == {"wanted": 0, "serving": 0, "kept": 0}
    route = "/api/v1/agents/{agent}/execute"
    assert value(samples, f"{prefix}_http_requests_total", method="POST", route=route, status="200") == 1
    assert value(samples, f"{prefix}_http_requests_total", route="/v1/chat/completions", status="200") == 2
    called = {"model": "scripted", "upstream": "custom"}
    assert value(samples, f"{prefix}_model_calls_total", result="completed", **called) == 2
    assert value(samples, f"{prefix}_model_call_duration_seconds_count", **called) == 2
    known = {"Authorization": f"Bearer {installation.key}"}
    told = httpx.get(f"{installation.url}/api/v1/usage/calls", headers=known).json()
    (shown_to_people,) = told["models"]
    assert (shown_to_people["model"], shown_to_people["calls"], shown_to_people["errors"]) == ("scripted", 2, {})
    assert 0 < shown_to_people["p50_ms"] <= shown_to_people["p95_ms"]
    assert httpx.get(f"{installation.url}/api/v1/usage/calls").status_code == 401
    routes = {dict(labels)["route"] for (name, labels) in samples if name.endswith("http_requests_total")}
    assert not [route for route in routes if run in route], "paths are no label"


def test_metrics_need_no_key_here_and_one_elsewhere(installation: Installation) -> None:
    installation.start_server()
    url = f"{installation.url}/metrics"
    assert httpx.get(url).status_code == 200
    for header in ({"Host": "evil.example"}, {"X-Forwarded-For": "192.0.2.1"}):
        assert httpx.get(url, headers=header).status_code == 401, header
    known = {"X-Forwarded-For": "192.0.2.1", "Authorization": f"Bearer {installation.key}"}
    assert httpx.get(url, headers=known).status_code == 200


def test_a_worker_counts_what_it_does_and_temporal_with_it(installation: Installation, model: Start) -> None:
    installation.serve(model([tool("shell", {"command": "echo hi"}), "done"]).url)
    installation.queue("q")
    worker = installation.start_worker("q", METRICS_ENABLED="true", METRICS_PORT="0")
    run = installation.submit("go", agent=installation.agent())
    assert installation.ended(run)["status"] == "completed"
    url = _served_by(installation, worker)
    samples, prefix = scrape(url), "kubiya_worker"
    assert value(samples, f"{prefix}_executions_seen_total") == 1
    assert value(samples, f"{prefix}_steps_total", kind="model", result="completed") == 2
    assert value(samples, f"{prefix}_steps_total", kind="tool", result="completed") == 1
    assert value(samples, f"{prefix}_tool_calls_total", tool="shell", result="success") == 1
    assert value(samples, f"{prefix}_model_calls_total", result="completed") == 2
    assert value(samples, f"{prefix}_model_first_token_seconds_count") >= 1
    assert value(samples, f"{prefix}_model_tokens_total", direction="input") > 0
    assert value(samples, f"{prefix}_events_sent_total") > 5
    assert value(samples, f"{prefix}_events_dropped_total") == 0
    assert value(samples, f"{prefix}_poll_probes_total", result="polling") > 0
    assert value(samples, f"{prefix}_slots", kind="activity") > 0
    names = {name for name, _ in samples}
    watched = set(re.findall(r"\btemporal_[a-z_]+\b", (MONITORING / "dashboard.json").read_text()))
    assert watched, "the dashboard shows what Temporal says"
    assert watched <= names, "as the real SDK names it"
    promtool("check", "metrics", stdin=httpx.get(f"{url}/metrics").content)


def test_a_worker_whose_metrics_nobody_wants_has_no_listener_for_them(installation: Installation) -> None:
    installation.start_server()
    worker = psutil.Process(installation.start_worker("q").pid)
    listening = [c for c in worker.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN]
    assert len(listening) <= 1, "its health alone"


def _served_by(installation: Installation, worker: subprocess.Popen[bytes]) -> str:
    """The address that a worker says its metrics are at."""
    until(lambda: "Metrics served" in installation.worker_log(worker), "metrics are served", 30)
    found = re.search(r"Metrics served.*?(http://[\d.:]+)", installation.worker_log(worker))
    assert found is not None, installation.worker_log(worker)
    return found[1]
