"""A worker on another host: TLS by an authority of the company's own, a key of its queue, and a link that breaks."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kubiya_workers.testing import Reply, ScriptedModel, tool
from tests.authority import Authority
from tests.namespaces import Host, Hosts, two_hosts
from tests.nginx import in_front

from .installation import Installation, lines
from .machine import Machine, Spawned, until
from .temporal import temporal_of_ones_own

CUT_S = 60
WORDS = " ".join(f"word{number}" for number in range(3000))
SCRIPT = {
    "tool": [
        tool("shell", {"command": "echo first >> tool.txt"}),
        tool("shell", {"command": "echo begun >> tool.txt; sleep 301; echo ended >> tool.txt"}),
        "The tool was lost.",
    ],
    "quick": [tool("shell", {"command": "echo quick"}), "It was quick."],
    "stream": [
        tool("shell", {"command": "echo once >> stream.txt"}),
        (Reply(WORDS, tokens_per_s=20), "The whole answer."),
    ],
}


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    try:
        there = two_hosts()
        made = there.__enter__()
    except RuntimeError as reason:
        pytest.skip(str(reason))
    try:
        with made.near.inside():
            yield made
    finally:
        there.__exit__(None, None, None)


@pytest.fixture
def near(hosts: Hosts, installation: Installation) -> Iterator[Installation]:
    """The control plane's host, where the test itself is, too. Nothing is started yet but its model."""
    with ScriptedModel(SCRIPT) as model:
        installation.environ = {"KUBIYA_LLM_BASE_URL": model.url, "KUBIYA_LLM_MODEL": "scripted"}
        yield installation


@contextmanager
def worker_on(host: Host, near: Installation, url: str, authority: Authority) -> Iterator[Spawned]:
    """A worker of the queue `far`, as it is started on a host of its own, with a key of that queue."""
    made = near.call("POST", "/keys", json={"name": "far", "scope": "worker", "queue_id": near.queue("far")})
    access = {"CONTROL_PLANE_URL": url, "KUBIYA_API_KEY": made.json()["key"], "SSL_CERT_FILE": str(authority.bundle)}
    machine = Machine(near.machine.root / "far", {**access, "HEARTBEAT_INTERVAL": "15"})
    with ExitStack() as stack:
        stack.callback(machine.kill_everything)
        with host.inside():
            worker = stack.enter_context(machine.spawn("worker", "start", "--queue-id=far", "--type=local"))
        worker.until_said("] Ready", 60)
        yield worker


def test_the_link_breaks_for_a_minute_in_the_middle_of_runs(hosts: Hosts, near: Installation, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue(hosts.near.address)
    near.environ |= {"KUBIYA_SERVER_HOST": "0.0.0.0", "KUBIYA_TLS_CERT": str(certificate), "KUBIYA_TLS_KEY": str(key)}
    near.start_server()
    url = f"https://{hosts.near.address}:{near.ports['KUBIYA_SERVER_PORT']}"
    with worker_on(hosts.far, near, url, authority) as far:
        _break_the_link(hosts, near, far)
        assert far.end(signal.SIGTERM) == 0


def test_a_proxy_with_tls_is_in_between_and_temporal_is_out_of_reach(
    hosts: Hosts, near: Installation, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    with temporal_of_ones_own(near.ports["KUBIYA_TEMPORAL_PORT"], tmp_path / "temporal.log") as temporal:
        near.environ |= {"TEMPORAL_HOST": temporal, "KUBIYA_TEMPORAL_TUNNEL": "true"}
        near.start_server()
        _work_behind_a_proxy(hosts, near, authority, tmp_path)


def _work_behind_a_proxy(hosts: Hosts, near: Installation, authority: Authority, tmp_path: Path) -> None:
    listen, upstream = f"{hosts.near.address}:8443", near.url.removeprefix("http://")
    certificate = authority.issue(hosts.near.address)
    with (
        in_front(tmp_path / "nginx", listen, [upstream], certificate),
        worker_on(hosts.far, near, f"https://{listen}", authority) as far,
    ):
        run = near.submit("quick", queue="far")
        assert near.ended(run)["response"] == "It was quick.", far.said()
        near.assert_the_log_is_whole(run)
        assert far.end(signal.SIGTERM) == 0


def _break_the_link(hosts: Hosts, near: Installation, far: Spawned) -> None:
    work = near.machine.work
    in_tool, in_stream = (near.submit(f"the {what}", queue="far") for what in ("tool", "stream"))
    until(lambda: "begun" in lines(work / "tool.txt"), f"the slow tool runs: {far.said()}")
    with near.reading(in_stream) as events:
        next(event for event in events if event.type == "message_chunk" and "word9" in event.fields["content"])

    hosts.cut()
    time.sleep(CUT_S)
    for run in (in_tool, in_stream):
        assert near.execution(run)["status"] == "running"
    hosts.mend()

    ended = near.ended(in_tool, 120)
    assert (ended["status"], ended["response"]) == ("completed", "The tool was lost."), far.said()
    assert lines(work / "tool.txt") == ["first", "begun"]
    outcomes = [e.fields["outcome"] for e in near.assert_the_log_is_whole(in_tool) if e.type == "tool_completed"]
    assert outcomes == ["success", "unknown"]

    ended = near.ended(in_stream, 120)
    assert (ended["status"], ended["response"]) == ("completed", "The whole answer."), far.said()
    assert lines(work / "stream.txt") == ["once"]
    answers = [e for e in near.assert_the_log_is_whole(in_stream) if e.type == "message" and e.step == 3]
    assert [e.attempt > 1 for e in answers] == [True]
