"""Every variable of a worker: its default, its bounds and its effect, as its user would see them."""

import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from kubiya_workers.testing import ScriptedModel, tool

from .installation import Installation
from .machine import Machine, served, until

Start = Callable[..., ScriptedModel]

CONFIGURATION, AUTHENTICATION = 6, 3
NOTHING_THERE = "http://127.0.0.1:1"

BOUNDS = [
    ("HEARTBEAT_INTERVAL", "14", "15 to 300"),
    ("HEARTBEAT_INTERVAL", "301", "15 to 300"),
    ("HEARTBEAT_INTERVAL", "soon", "15 to 300"),
    ("LOG_LEVEL", "LOUD", "DEBUG, INFO, WARN, ERROR"),
    ("LOG_FORMAT", "xml", "text"),
    ("MAX_CONCURRENT_ACTIVITIES", "0", "1 to 1000"),
    ("MAX_CONCURRENT_WORKFLOWS", "1", "2 to 1000"),
    ("ACTIVITY_TIMEOUT", "0", "1 to 86400"),
    ("KUBIYA_DEBUG", "perhaps", "true"),
    ("MEMORY_LIMIT", "2Gigs", "such as 512Mi or 2Gi"),
    ("MEMORY_LIMIT", "1Mi", "192Mi"),
    ("CPU_LIMIT", "fast", "such as 500m or 2"),
    ("METRICS_ENABLED", "often", "true"),
    ("METRICS_PORT", "70000", "0 to 65535"),
    ("SINGLE_EXECUTION", "twice", "true"),
    ("KUBIYA_IDLE_TIMEOUT", "soon", "such as 90s, 10m or 12h"),
    ("KUBIYA_MAX_TASKS", "-1", "1 to"),
    ("KUBIYA_MAX_UPTIME", "never", "such as 90s, 10m or 12h"),
    ("KUBIYA_HEALTH_ADDR", "nowhere", "host:port"),
    ("HTTPS_PROXY", "proxy.example", "http://"),
    ("CONTROL_PLANE_URL", "nonsense", "http"),
    ("CONTROL_PLANE_GATEWAY_URL", "nonsense", "http"),
]
DEFAULTS = {
    "HEARTBEAT_INTERVAL": "30",
    "LOG_LEVEL": "INFO",
    "MAX_CONCURRENT_ACTIVITIES": "10",
    "MAX_CONCURRENT_WORKFLOWS": "5",
    "ACTIVITY_TIMEOUT": "600",
    "ENVIRONMENT_NAME": "default",
    "METRICS_ENABLED": "False",
    "METRICS_PORT": "9090",
    "KUBIYA_DEBUG": "False",
    "WORKER_HOSTNAME": "auto-detected",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with served(tmp_path_factory.mktemp("settings")) as machine:
        yield machine


@pytest.mark.parametrize(("name", "value", "bounds"), BOUNDS)
def test_a_value_out_of_bounds_names_the_variable_the_value_and_the_bounds(
    running: Machine, name: str, value: str, bounds: str
) -> None:
    refused = running.run("worker", "start", "--queue-id=q", env={name: value})
    assert refused.returncode == CONFIGURATION, refused.stderr
    assert name in refused.stderr and bounds in refused.stderr
    assert value in refused.stderr or name.endswith("_PROXY"), "a proxy's may hold a password"
    assert not running.workers()


def test_defaults_are_those_of_the_manual(running: Machine) -> None:
    rows: Any = running.json("config", "show")
    shown = {row["setting"]: row for row in rows}
    assert {name: shown[name]["value"] for name in DEFAULTS} == DEFAULTS
    assert {shown[name]["from"] for name in DEFAULTS} == {"default"}
    manual = Path("docs/configuration.md").read_text()
    assert all(f"`{name}`" in manual for name in shown)


def report(installation: Installation, worker: subprocess.Popen[bytes]) -> Any:
    found = re.search(r"Health: url=(\S+)", installation.worker_log(worker))
    assert found is not None
    return httpx.get(f"{found[1]}/status").json()


def intervals(installation: Installation) -> set[int]:
    stored = installation.machine.home / ".kubiya" / "server" / "kubiya.db"
    with closing(sqlite3.connect(f"file:{stored}?mode=ro", uri=True)) as connection:
        return {row[0] for row in connection.execute("SELECT heartbeat_interval FROM workers")}


def test_what_is_set_is_what_a_worker_does(installation: Installation) -> None:
    installation.start_server()
    assert installation.call("POST", "/environments", json={"name": "staging"}).status_code == 201
    worker = installation.start_worker(
        "fresh",
        WORKER_HOSTNAME="rack-7",
        HEARTBEAT_INTERVAL="17",
        MAX_CONCURRENT_ACTIVITIES="20",
        MAX_CONCURRENT_WORKFLOWS="7",
        ENVIRONMENT_NAME="staging",
        CONTROL_PLANE_URL=NOTHING_THERE,
        CONTROL_PLANE_GATEWAY_URL=installation.url,
    )
    said = report(installation, worker)
    assert (said["hostname"], said["activities"]["total"], said["workflows"]["total"]) == ("rack-7", 20, 7)
    (known,) = installation.call("GET", "/workers").json()
    assert known["hostname"] == "rack-7"
    assert intervals(installation) == {17}
    staging = installation.call("GET", "/environments/staging").json()
    assert known["environment_id"] == staging["id"]


def test_defaults_are_what_a_worker_does(installation: Installation) -> None:
    installation.start_server()
    said = report(installation, installation.start_worker(HEARTBEAT_INTERVAL=""))
    assert (said["activities"]["total"], said["workflows"]["total"], said["memory_limit"]) == (10, 5, None)
    assert said["metrics"] is None
    assert intervals(installation) == {30}


@pytest.mark.parametrize(
    ("environ", "says", "is_silent_on"),
    [
        ({"LOG_LEVEL": "DEBUG"}, "[DEBUG] Heartbeat taken", "no such line"),
        ({"KUBIYA_DEBUG": "true"}, "[DEBUG] Registering", "no such line"),
        ({"LOG_LEVEL": "INFO"}, "[INFO] Connected to Temporal", "[DEBUG]"),
        ({"LOG_FORMAT": "json"}, '"level": "INFO", "message": "Connected to Temporal", "host": ', "[INFO]"),
    ],
)
def test_the_log_is_as_loud_and_as_formal_as_asked(
    installation: Installation, environ: dict[str, str], says: str, is_silent_on: str
) -> None:
    installation.start_server()
    worker = installation.launch_worker(**environ)
    until(lambda: "Metrics" in installation.worker_log(worker), "it beats")
    worker.terminate()
    worker.wait(40)
    log = installation.worker_log(worker)
    assert says in log and is_silent_on not in log


def test_a_call_takes_no_longer_than_its_limit(installation: Installation, model: Start) -> None:
    installation.serve(model([tool("shell", {"command": "sleep 65"}), "done"]).url)
    worker = installation.start_worker(ACTIVITY_TIMEOUT="1")
    run = installation.submit("go")
    installation.ended(run)
    assert "within the worker's limit of 1 s" in installation.worker_log(worker)


def test_the_model_of_a_worker_wins(installation: Installation, model: Start) -> None:
    scripted = model("done")
    installation.serve(scripted.url)
    installation.start_worker(KUBIYA_MODEL="one-of-its-own", KUBIYA_SKIP_MODEL_VALIDATION="true")
    assert installation.ended(installation.submit("go"))["status"] == "completed"
    asked = {request.body["model"] for request in scripted.requests if "model" in request.body}
    assert asked == {"one-of-its-own"}


def test_the_queue_and_the_key_come_from_the_environment(running: Machine) -> None:
    key = (running.home / ".kubiya/server/credentials").read_text().strip()
    access = {"CONTROL_PLANE_URL": NOTHING_THERE, "KUBIYA_API_KEY": key, "QUEUE_ID": "from-environment"}
    state: Any = running.json("server", "status")
    with running.spawn("worker", "start", env={**access, "CONTROL_PLANE_GATEWAY_URL": state["url"]}) as worker:
        worker.until_said("Ready: queue=from-environment")
        assert key not in worker.said()
    wrong = {"CONTROL_PLANE_URL": state["url"], "KUBIYA_API_KEY": "kbw_wrong-key-of-nobody"}
    refused = running.run("worker", "start", "--queue-id=q", env=wrong)
    assert refused.returncode == AUTHENTICATION
    assert "kbw_wrong-key-of-nobody" not in refused.stdout + refused.stderr
