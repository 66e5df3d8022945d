"""Readers of a stream: they leave and come back, come in crowds, or never read."""

import socket
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from urllib.parse import urlsplit

import psutil
import pytest

from kubiya_workers.testing import Reply, ScriptedModel, tool

from .installation import Event, Installation, age
from .machine import until

Start = Callable[..., ScriptedModel]

MARKERS = ("connected", "history_complete", "gap_detected")
WORDS = " ".join(f"wörd{number}" for number in range(150))
LINES = "for n in $(seq 1 30); do echo line $n; sleep 0.02; done"
SCRIPT = [
    tool("shell", {"command": LINES}, text="I will count. "),
    Reply(WORDS, reasoning="Let me think.", tokens_per_s=100),
]


class Seen:
    """What one reader saw, over all of its connections; refuses anything that it sees twice or not in order."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.ids: list[str] = []
        self.facts: list[tuple[str, str]] = []
        self.parts: dict[tuple[str, int, int], str] = {}
        self.is_over = False

    def add(self, event: Event) -> None:
        self.last_id = event.id
        if event.type in MARKERS:
            return
        self.ids.append(event.id)
        if event.type.endswith("_chunk"):
            part = (event.type, event.step, event.attempt)
            known = self.parts.get(part, "")
            assert event.fields["offset"] == len(known), (event, known[-40:])
            self.parts[part] = known + event.fields["content"]
            return
        assert int(event.id.partition("~")[0]) > self.newest_fact, event
        self.facts.append((event.id.partition("~")[0], event.type))
        self.is_over = event.type == "done"
        if event.type == "message" and event.step:
            written = self.parts.get(("message_chunk", event.step, event.attempt), "")
            assert event.fields["content"].startswith(written)

    @property
    def newest_fact(self) -> int:
        return int(self.facts[-1][0]) if self.facts else 0


def all_of(events: Iterable[Event]) -> Seen:
    seen = Seen()
    for event in events:
        seen.add(event)
    return seen


def facts_of(events: Iterable[Event]) -> list[tuple[str, str]]:
    return [(event.id, event.type) for event in events]


@pytest.fixture
def served(installation: Installation, model: Start) -> Installation:
    installation.serve(model(SCRIPT).url)
    installation.start_worker()
    return installation


def test_a_reader_that_leaves_and_returns_sees_each_event_once(served: Installation) -> None:
    """Cut after one event, after three, after seven …, again and again while the run goes on."""
    execution = served.submit("go")
    hopping, lengths = Seen(), cycle((1, 2, 3, 5, 8, 13))
    with ThreadPoolExecutor(1) as pool:
        steady = pool.submit(_read_to_the_end, served, execution)
        while not hopping.is_over:
            with served.reading(execution, hopping.last_id) as events:
                for event in islice(events, 2 + next(lengths)):  # two markers open each stream
                    hopping.add(event)
        whole = steady.result(60)
    stored = served.assert_the_log_is_whole(execution)
    assert whole.parts["message_chunk", 3, 1] == WORDS
    assert hopping.facts == whole.facts == facts_of(stored)
    assert any("~" in event_id for event_id in whole.ids), "no chunk was seen live"
    for part, text in hopping.parts.items():
        assert whole.parts[part].startswith(text)


def test_a_return_to_a_run_that_is_over_from_every_id_of_it(served: Installation) -> None:
    execution = served.submit("go")
    with served.reading(execution) as events:
        live = all_of(events)
    stored = facts_of(served.stored(execution))
    assert live.is_over
    for event_id in dict.fromkeys(live.ids[:: max(1, len(live.ids) // 40)]):
        with served.reading(execution, event_id) as events:
            rest = all_of(events)
        after = int(event_id.partition("~")[0])
        assert rest.facts == [fact for fact in stored if int(fact[0]) > after]
        assert not rest.parts, "the facts say it all"
    with served.reading(execution, live.last_id) as events:
        assert list(events) == []


def test_fifty_readers_at_once_see_the_same(served: Installation) -> None:
    execution = served.submit("go")
    with ThreadPoolExecutor(50) as pool:
        readers = [pool.submit(_read_to_the_end, served, execution) for _ in range(50)]
        seen = [reader.result(90) for reader in readers]
    stored = facts_of(served.assert_the_log_is_whole(execution))
    assert all(one.facts == stored for one in seen)
    assert {one.parts.get(("message_chunk", 3, 1)) for one in seen} <= {WORDS, None}


def test_readers_that_never_read_harm_nobody(installation: Installation, model: Start) -> None:
    """Each run says far more than the buffers of a connection hold; twenty such connections stand still."""
    big = " ".join(f"{number:x}" * 5000 for number in range(16, 56))
    rounds = 8
    script = [*(tool("shell", {"command": "true"}, text=f"{number} {big}") for number in range(rounds)), "done"]
    installation.serve(model({"big": script, "small": "quick"}).url)
    installation.start_worker()
    assert installation.server is not None
    server = psutil.Process(installation.server.pid)
    assert installation.ended(installation.submit("big"))["status"] == "completed"
    before = server.memory_info().rss
    execution = installation.submit("big")
    with deaf_readers(installation, execution, 20), installation.reading(execution) as events:
        began = time.monotonic()
        assert installation.ended(installation.submit("small"))["response"] == "quick"
        assert age(began) < 10
        assert all_of(events).is_over
        grown = server.memory_info().rss - before
        assert grown < 100 * 1024 * 1024, f"{grown // 1024 // 1024} MB for readers that do not read"
    installation.assert_the_log_is_whole(execution)
    until(lambda: not _streams(server, installation), "the server lets go of readers that left")


def _read_to_the_end(installation: Installation, execution: str) -> Seen:
    with installation.reading(execution) as events:
        return all_of(events)


@contextmanager
def deaf_readers(installation: Installation, execution: str, count: int) -> Generator[None]:
    """Connections that ask for the stream and never take a byte of it."""
    address = urlsplit(installation.url)
    request = (
        f"GET /api/v1/executions/{execution}/stream HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {installation.key}\r\n\r\n"
    ).encode()
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            reader = socket.socket()
            sockets.append(reader)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect((address.hostname, address.port))
            reader.sendall(request)
        yield
    finally:
        for reader in sockets:
            reader.close()


def _streams(server: psutil.Process, installation: Installation) -> list[object]:
    port = urlsplit(installation.url).port
    return [
        connection
        for connection in server.net_connections("tcp")
        if connection.laddr.port == port and connection.status in ("FIN_WAIT1", "CLOSE_WAIT")
    ]
