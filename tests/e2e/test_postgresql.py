"""The main path with PostgreSQL in SQLite's place."""

from collections.abc import Callable, Iterator

import pytest

from kubiya_workers.testing import ScriptedModel, tool
from tests.store import postgresql

from .installation import Installation, kill, lines


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    with postgresql.running(programs) as directory:
        yield f"postgresql://kubiya@/postgres?host={directory}"


def test_a_run_and_what_a_restart_keeps_of_it(
    database: str, installation: Installation, model: Callable[..., ScriptedModel]
) -> None:
    script = [tool("shell", {"command": "echo ran >> marks.txt; seq 3"}), "counted"]
    installation.environ = {"DATABASE_URL": database}
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

    assert installation.server is not None
    kill(installation.server)
    installation.start_server()
    assert installation.execution(execution) == ended
    assert installation.stored(execution) == log
    assert installation.ended(installation.submit("go on"), 90)["status"] == "completed"
