"""The main path with PostgreSQL in SQLite's place."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from kubiya_workers.testing import ScriptedModel, tool
from tests.store import postgresql

from .installation import Installation, kill, lines
from .machine import Machine, until


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    with postgresql.running(programs) as directory:
        yield f"postgresql://kubiya@/postgres?host={directory}"


def test_a_run_and_what_a_restart_keeps_of_it(
    database: str, installation: Installation, model: Callable[..., ScriptedModel], tmp_path: Path
) -> None:
    script = [tool("shell", {"command": "echo ran >> marks.txt; seq 3"}), "counted"]
    installation.environ = {"DATABASE_URL": database, "KUBIYA_WEBUI": "true"}
    installation.serve(model(script).url)
    installation.start_worker()
    execution = installation.submit("go")
    with installation.reading(execution) as events:
        assert list(events)[-1].type == "done"
    ended = installation.ended(execution)
    assert (ended["status"], ended["response"]) == ("completed", "counted")
    assert lines(installation.machine.work / "marks.txt") == ["ran"]
    log = installation.assert_the_log_is_whole(execution)
    assert not list(installation.machine.home.rglob("kubiya.db")), "there is a second store"

    _assert_two_know_one_session(database, installation, tmp_path)
    assert installation.server is not None
    kill(installation.server)
    installation.start_server()
    assert installation.execution(execution) == ended
    assert installation.stored(execution) == log
    assert installation.ended(installation.submit("go on"), 90)["status"] == "completed"


def _assert_two_know_one_session(database: str, first: Installation, root: Path) -> None:
    """A browser that one control plane let in is known to another on the same database, and to neither any more when
    its key is revoked."""
    second = Installation(Machine(root / "second"))
    state = json.loads(first.state_file.read_text())
    second.environ = {"DATABASE_URL": database, "KUBIYA_WEBUI": "true", "TEMPORAL_HOST": state["temporal"]}
    try:
        second.start_server()
        made = first.call("POST", "/keys", json={"name": "ops", "scope": "read"}).json()
        with httpx.Client() as browser:
            assert browser.post(f"{first.url}/ui/console/api/sign-in", json={"key": made["key"]}).status_code == 204
            sessions = [browser.get(f"{at.url}/ui/console/api/session") for at in (first, second)]
            assert [answer.json()["guest"]["key_name"] for answer in sessions] == ["ops", "ops"]
            assert browser.get(f"{second.url}/ui/api/v1/workers").json()[0]["queue_name"] == "q"
            assert first.call("DELETE", f"/keys/{made['id']}").status_code == 204
            assert browser.get(f"{first.url}/ui/console/api/session").status_code == 401
            until(lambda: browser.get(f"{second.url}/ui/console/api/session").status_code == 401, "it knows, too")
    finally:
        second.close()
