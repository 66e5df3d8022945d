"""What deploy/compose.yaml puts together, as processes: PostgreSQL, Temporal, two control planes, workers, and a
reverse proxy with TLS in front, through which everybody comes. A control plane is killed in the middle of a run.
"""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from kubiya_workers.testing import Reply, ScriptedModel, tool
from tests.authority import Authority
from tests.nginx import in_front
from tests.store import postgresql

from .installation import Event, Installation, kill, lines, ports_of_its_own
from .machine import Machine, until
from .temporal import temporal_of_ones_own

WORDS = " ".join(f"word{number}" for number in range(240))
SCRIPT = {
    "go": [tool("shell", {"command": "echo ran >> marks.txt"}), Reply(WORDS, tokens_per_s=80)],
    "once more": ["Again."],
}


@dataclass
class Front(Installation):
    """The installation as everybody sees it: at the proxy, whichever control plane answers."""

    address: str = ""
    secret: str = ""

    @property
    def url(self) -> str:
        return self.address

    @property
    def key(self) -> str:
        return self.secret

    def read_to_its_end(self, execution_id: str, at_chunk: Callable[[int], None]) -> list[Event]:
        """The stream, resumed wherever it breaks."""
        seen: list[Event] = []

        def over() -> bool:
            with (
                suppress(httpx.HTTPError),
                self.reading(execution_id, next((e.id for e in reversed(seen) if e.id), None)) as events,
            ):
                for event in events:
                    seen.append(event)
                    at_chunk(sum(e.type == "message_chunk" for e in seen))
            return bool(seen) and seen[-1].type == "done"

        until(over, "the stream ends", 90)
        return seen


@dataclass
class Whole:
    planes: tuple[Installation, Installation]
    front: Front


@pytest.fixture
def whole(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Whole]:
    programs = postgresql.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    authority, secret = Authority(tmp_path), f"kbw_{secrets.token_urlsafe(32)}"
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    ports = ports_of_its_own()
    listen = f"127.0.0.1:{ports['KUBIYA_SERVER_PORT']}"
    with ExitStack() as stack:
        database = f"postgresql://kubiya@/postgres?host={stack.enter_context(postgresql.running(programs))}"
        own = temporal_of_ones_own(ports["KUBIYA_TEMPORAL_PORT"], tmp_path / "temporal.log")
        environ = {
            "DATABASE_URL": database,
            "TEMPORAL_HOST": stack.enter_context(own),
            "KUBIYA_API_KEY": secret,
            "KUBIYA_LLM_BASE_URL": stack.enter_context(ScriptedModel(SCRIPT)).url,
            "KUBIYA_LLM_MODEL": "scripted",
        }
        first, second = (Installation(Machine(tmp_path / name), environ) for name in ("first", "second"))
        for plane in (first, second):
            stack.callback(plane.machine.kill_everything)
            stack.callback(plane.close)
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(Installation.start_server, (first, second)))
        upstreams = [plane.url.removeprefix("http://") for plane in (first, second)]
        stack.enter_context(in_front(tmp_path / "nginx", listen, upstreams, authority.issue("localhost", "127.0.0.1")))
        machine.environ["SSL_CERT_FILE"] = str(authority.bundle)
        front = Front(machine, address=f"https://{listen}", secret=secret)
        stack.callback(front.close)
        until(lambda: front.call("GET", "/agents").is_success, "the proxy passes on")
        yield Whole((first, second), front)


def test_a_control_plane_is_killed_in_the_middle_of_a_run(whole: Whole) -> None:
    front = whole.front
    for worker in [front.launch_worker() for _ in range(2)]:
        front.until_ready(worker)
    execution = front.submit("go")
    victim = whole.planes[0].server
    assert victim is not None

    def kill_one(chunks: int) -> None:
        if chunks > 20 and victim.poll() is None:
            kill(victim)

    seen = front.read_to_its_end(execution, kill_one)
    assert victim.poll() is not None
    assert seen[-1].data["response"] == WORDS
    ended = front.ended(execution)
    assert (ended["status"], ended["response"]) == ("completed", WORDS)
    assert lines(front.machine.work / "marks.txt") == ["ran"]
    front.assert_the_log_is_whole(execution)
    facts = [(event.type, event.step, event.attempt) for event in seen if event.type in ("message", "tool_completed")]
    assert len(facts) == len(set(facts)), "what was told before the stream broke was told again"
    assert front.ended(front.submit("once more"))["response"] == "Again."
