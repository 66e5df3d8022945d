"""A worker answers for itself over HTTP, and ends by itself when it has done enough."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from kubiya_workers.testing import ScriptedModel, error, tool
from tests.processes import ended

from .installation import Installation, kill
from .machine import Machine, until

Start = Callable[..., ScriptedModel]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A control plane as it comes, for workers that are only asked."""
    installed = Installation(Machine(tmp_path_factory.mktemp("plain")))
    try:
        installed.start_server()
        yield installed
    finally:
        installed.close()
        installed.machine.kill_everything()


def health(installation: Installation, worker: subprocess.Popen[bytes]) -> str:
    found = re.search(r"\] Health: url=(\S+)", installation.worker_log(worker))
    assert found, installation.worker_log(worker)
    return found[1]


def test_it_answers_for_itself(installation: Installation, model: Start) -> None:
    installation.serve(model([tool("shell", {"command": "touch begun; sleep 3"}), "done"]).url)
    worker = installation.start_worker()
    url = health(installation, worker)
    assert httpx.get(f"{url}/livez").status_code == 200
    assert httpx.get(f"{url}/readyz").status_code == 200
    run = installation.submit("go")
    until(lambda: (installation.machine.work / "begun").exists(), "the tool runs")
    report = httpx.get(f"{url}/status").json()
    assert report["ready"] is True
    assert report["executions"] == [run]
    assert report["activities"] == {"used": 1, "total": 10}
    assert report["pid"] == worker.pid
    assert report["memory"] > 10**7
    assert installation.ended(run)["status"] == "completed"
    report = httpx.get(f"{url}/status").json()
    assert (report["tasks_completed"], report["tasks_failed"]) == (3, 0)
    assert report["last_poll"] is not None
    assert report["last_heartbeat"] is not None


def test_a_stopped_or_foreign_question(plain: Installation) -> None:
    worker = plain.start_worker()
    url = health(plain, worker)
    assert httpx.get(f"{url}/status", headers={"Host": "evil.example"}).status_code == 403
    assert httpx.get(f"{url}/").status_code == 404
    assert httpx.post(f"{url}/status").status_code == 501
    assert "worker_token" not in httpx.get(f"{url}/status").text


def test_it_is_not_ready_without_its_gateway(installation: Installation) -> None:
    installation.start_server()
    worker = installation.start_worker()
    url = health(installation, worker)
    assert installation.server is not None
    kill(installation.server)
    answer = httpx.get(f"{url}/readyz", timeout=10)
    assert answer.status_code == 503
    failed = {check["name"] for check in answer.json()["checks"] if check["state"] == "failed"}
    assert "gateway" in failed


def test_two_workers_share_a_host(plain: Installation) -> None:
    one = plain.start_worker("one", METRICS_ENABLED="true", KUBIYA_HEALTH_ADDR="127.0.0.1:0")
    two = plain.start_worker("two", METRICS_ENABLED="true", KUBIYA_HEALTH_ADDR="127.0.0.1:0")
    assert health(plain, one) != health(plain, two)
    for worker in (one, two):
        served = re.search(r"Metrics served: url=(\S+)", plain.worker_log(worker))
        assert served
        assert "kubiya_worker_info" in httpx.get(served[1]).text


def test_limits_decide_how_much_it_takes(plain: Installation) -> None:
    worker = plain.start_worker(MEMORY_LIMIT="256Mi", CPU_LIMIT="1000m", MAX_CONCURRENT_ACTIVITIES="50")
    report = httpx.get(f"{health(plain, worker)}/status").json()
    assert report["activities"]["total"] == 4
    assert report["memory_limit"] == 256 * 1024**2
    cpu = plain.start_worker(CPU_LIMIT="500m")
    assert httpx.get(f"{health(plain, cpu)}/status").json()["activities"]["total"] == 5


def test_it_ends_when_it_has_done_enough(installation: Installation, model: Start) -> None:
    installation.serve(model("done").url)
    idle = installation.start_worker("idle", KUBIYA_IDLE_TIMEOUT="2s")
    assert idle.wait(30) == 0
    assert "nothing to do" in installation.worker_log(idle)
    counted = installation.start_worker("counted", KUBIYA_MAX_TASKS="1")
    assert installation.ended(installation.submit("go", queue="counted"))["status"] == "completed"
    assert counted.wait(30) == 0
    aged = installation.start_worker("aged", KUBIYA_MAX_UPTIME="3s")
    assert aged.wait(30) == 0
    reasons = [row["disconnect_reason"] for row in installation.call("GET", "/workers").json()]
    assert all(any(word in reason for word in ("nothing to do", "tasks done", "up for")) for reason in reasons)


@pytest.mark.parametrize(("script", "status", "exits"), [("done", "completed", 0), ([error(400)], "failed", 1)])
def test_a_single_execution_ends_with_its_result(
    installation: Installation, model: Start, script: object, status: str, exits: int
) -> None:
    installation.serve(model(script).url)
    worker = installation.start_worker("once", SINGLE_EXECUTION="true")
    assert installation.ended(installation.submit("go", queue="once"))["status"] == status
    assert worker.wait(20) == exits


def test_it_ends_when_what_started_it_is_killed(installation: Installation) -> None:
    """`kubiya worker start` in the foreground, killed with -9: its worker drains and leaves by itself."""
    machine = installation.machine
    installation.start_server()
    env = {"CONTROL_PLANE_URL": installation.url, "KUBIYA_API_KEY": installation.key}
    with machine.spawn("worker", "start", "--queue-id=q", "--type=local", env=env) as command:
        command.until_said("Ready")
        worker = machine.workers()[0]
        # Neither guard may do it: the worker itself notices.
        for process in psutil.Process(command.process.pid).children():
            if process.pid != worker.pid:
                process.kill()
        command.process.send_signal(signal.SIGKILL)
        until(lambda: ended(worker), "the worker ends", 40)
    gone = installation.call("GET", "/workers").json()
    assert [(row["status"], row["disconnect_reason"]) for row in gone] == [("disconnected", "what started it is gone")]
