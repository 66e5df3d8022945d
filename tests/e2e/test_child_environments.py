"""The key is in no process that does not need it: read from what the system keeps of each one's environment."""

import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from kubiya_workers.testing import ScriptedModel, tool

from .installation import Installation, lines
from .machine import until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def environment(process: psutil.Process) -> dict[str, str]:
    entries = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode().partition("=")[::2] for entry in entries if entry)


def test_children_are_given_no_key(installation: Installation, model: Callable[..., ScriptedModel]) -> None:
    secret = "kbw_given-to-the-control-plane"
    installation.environ = {"KUBIYA_API_KEY": secret, "HTTPS_PROXY": "http://someone:password@127.0.0.1:9"}
    installation.serve(
        model([tool("shell", {"command": "echo $$ > pid.txt; until [ -e go ]; do sleep 0.05; done"}), "done"]).url
    )
    worker = installation.start_worker()
    assert installation.server is not None
    execution = installation.submit("run it")
    note = installation.machine.work / "pid.txt"
    until(lambda: lines(note), "the tool runs")
    owners = {worker.pid: installation.key, installation.server.pid: secret}
    seen: list[str] = []
    for owner, key in owners.items():
        assert environment(psutil.Process(owner))["KUBIYA_API_KEY"] == key
        for child in psutil.Process(owner).children(recursive=True):
            try:
                given, words = environment(child), child.cmdline()
            except (OSError, psutil.Error):
                continue  # a `sleep` of the tool, which has just ended
            seen.append(" ".join(words))
            assert "KUBIYA_API_KEY" not in given, seen[-1]
            assert not any(word in value for value in given.values() for word in (installation.key, secret, "password"))
    assert sum("guardian.py" in line for line in seen) == 2, seen
    assert any("start-dev" in line for line in seen), seen
    assert int(lines(note)[0]) in {child.pid for child in psutil.Process(worker.pid).children(recursive=True)}
    (installation.machine.work / "go").touch()
    assert installation.ended(execution)["status"] == "completed"
