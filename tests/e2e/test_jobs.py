"""Jobs of a real control plane: by schedule, by webhook and by hand, late, twice, and over kill -9."""

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psutil
import pytest

from .machine import Machine, until

ONLY_WHILE = "Jobs fire only while a control plane runs"
AT_NO_TIME = {"trigger_type": "cron", "cron_schedule": "@monthly"}
NOWHERE = {"executor_type": "specific_queue", "worker_queue_name": "burst"}
SECRET = "what-the-sender-signs-with"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A server that was started ten minutes after its first job was due."""
    machine = Machine(tmp_path_factory.mktemp("jobs"), {"KUBIYA_LLM_MODEL": "kubiya/offline"})
    try:
        early = machine.run("job", "create", "early", "--cron", "@monthly", "--prompt", "Run `echo early`")
        assert early.returncode == 0, early.stderr
        assert ONLY_WHILE in early.stderr, "the control plane of this command ends with it"
        make_due(machine, "early", timedelta(minutes=10))
        started = machine.run("server", "start")
        assert started.returncode == 0, started.stderr
        yield machine
        assert machine.run("server", "stop").returncode == 0
        machine.assert_nothing_left()
    finally:
        machine.kill_everything()


def make_due(machine: Machine, names: str, ago: timedelta = timedelta(0)) -> None:
    """As if the schedules of these jobs (SQL's LIKE) had been due so long ago."""
    due = (datetime.now(UTC) - ago).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(machine.home / ".kubiya/server/kubiya.db", timeout=10)) as database, database:
        database.execute("UPDATE jobs SET next_at = ? WHERE name LIKE ?", (due, names))


def created(machine: Machine, name: str, *words: str) -> dict[str, Any]:
    done: Any = machine.json("job", "create", name, *words)
    return done


def call(machine: Machine, path: str, method: str = "GET", **options: Any) -> Any:
    """What the API says."""
    state = json.loads((machine.home / ".kubiya/server/server.json").read_text())
    key = (machine.home / ".kubiya/server/credentials").read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.request(method, f"{state['url']}/api/v1{path}", headers=headers, timeout=30, **options)
    assert answer.status_code < 300, answer.text
    return answer.json()


def until_over(machine: Machine, job: str, number: int = 1) -> list[dict[str, Any]]:
    """Its firings, once so many of its executions are over."""
    found: list[dict[str, Any]] = []

    def over() -> bool:
        found[:] = call(machine, f"/jobs/{job}/firings")
        return sum(firing["execution_status"] in ("completed", "failed", "cancelled") for firing in found) >= number

    until(over, f"{number} executions of {job} end: {found}", 60)
    return found


def test_what_was_missed_is_caught_up_when_a_control_plane_runs(running: Machine) -> None:
    (fired,) = until_over(running, "early")
    assert (fired["outcome"], fired["execution_status"]) == ("fired", "completed")
    assert fired["reason"].startswith("caught up: it was due at")
    run = call(running, f"/executions/{fired['execution_id']}")
    assert "early" in run["response"] and run["execution_metadata"]["job_trigger"] == "cron"
    shown = running.run("job", "get", "early").stdout
    assert "fired" in shown and "caught up" in shown and fired["execution_id"] in shown
    assert shown.count("T00:00:00+00:00") == 3, "when it is due next"
    assert "early" in running.run("job", "list").stdout


def test_a_webhook_fires_once_for_a_delivery_and_never_for_an_old_address(running: Machine) -> None:
    job = created(running, "hook", "--webhook", "--prompt", "Run `echo {{payload.word}}`")
    for _ in range(2):
        answer = httpx.post(job["webhook_url"], json={"word": "{{job.id}}"}, headers={"X-GitHub-Delivery": "d1"})
        assert answer.status_code == 202, answer.text
    (fired,) = until_over(running, "hook")
    assert answer.json()["execution_id"] == fired["execution_id"]
    run = call(running, f"/executions/{fired['execution_id']}")
    assert run["prompt"] == "Run `echo {{job.id}}`"
    assert httpx.post(job["webhook_url"] + "x", json={"word": "no"}).status_code == 404
    rotated = running.run("job", "rotate-webhook", "hook")
    assert rotated.returncode == 0 and rotated.stdout.strip() != job["webhook_url"]
    assert httpx.post(job["webhook_url"], json={"word": "no"}).status_code == 404
    signed = running.run("job", "update", "hook", "--webhook-secret-file", "-", stdin=SECRET + "\n")
    assert signed.returncode == 0 and SECRET not in signed.stdout
    assert httpx.post(rotated.stdout.strip(), json={"word": "no"}).status_code == 403
    assert len(running.json("job", "executions", "hook")) == 1  # type: ignore[arg-type]
    logs = (running.home / ".kubiya/server/server.log").read_text()
    tokens = [address.strip().rpartition("/")[2] for address in (job["webhook_url"], rotated.stdout)]
    assert not [text for text in (*tokens, SECRET) if text in logs]


def test_a_schedule_skips_while_one_still_runs(running: Machine) -> None:
    created(running, "slow", "--cron", "@monthly", "--prompt", "Run `sleep 60`")
    fired = running.run("job", "trigger", "slow")
    assert fired.returncode == 0, fired.stderr
    make_due(running, "slow")
    until(lambda: len(call(running, "/jobs/slow/firings")) == 2, "it was due")
    skipped, first = call(running, "/jobs/slow/firings")
    assert (skipped["outcome"], skipped["execution_id"]) == ("skipped", None)
    assert skipped["reason"] == f"execution {first['execution_id']} of this job still runs"
    again = running.run("job", "trigger", "slow")
    assert again.returncode == 4 and "still runs" in again.stdout
    assert running.run("execution", "cancel", first["execution_id"]).returncode == 0
    until_over(running, "slow")


def test_a_control_plane_that_is_killed_while_it_fires_loses_and_doubles_nothing(running: Machine) -> None:
    """All of them are due at once; it dies when the first has been claimed."""
    call(running, "/environments/default/worker-queues", "POST", json={"name": "burst"})
    names = [f"burst-{number}" for number in range(8)]
    for name in names:
        body = {"name": name, "entity_id": "default", "prompt_template": f"say {name}", **AT_NO_TIME, **NOWHERE}
        call(running, "/jobs", "POST", json=body)
    make_due(running, "burst-%")
    with closing(sqlite3.connect(running.home / ".kubiya/server/kubiya.db", timeout=10)) as database:
        claimed = "SELECT count(*) FROM job_firings JOIN jobs ON jobs.id = job_id WHERE name LIKE 'burst-%'"
        until(lambda: database.execute(claimed).fetchone()[0], "the first is claimed")
        state = json.loads((running.home / ".kubiya/server/server.json").read_text())
    server = psutil.Process(state["pid"])
    server.send_signal(signal.SIGKILL)
    server.wait(10)
    assert running.run("server", "start").returncode == 0

    def settled() -> bool:
        return all([f["outcome"] for f in call(running, f"/jobs/{name}/firings")] == ["fired"] for name in names)

    until(settled, "each of them was fired", 60)
    runs = call(running, "/executions?limit=1000")
    assert sorted(run["prompt"] for run in runs if run["prompt"].startswith("say burst-")) == [
        f"say {name}" for name in names
    ]
    for run in runs:
        if run["prompt"].startswith("say burst-"):
            call(running, f"/executions/{run['id']}/cancel", "POST")
