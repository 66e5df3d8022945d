"""What a control plane counts, by which name, and who may read it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from tests.monitoring import NOW, value

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.health import Check
from kubiya_workers.contracts.workers import WorkerStatus
from kubiya_workers.control_plane.metrics import Metrics
from kubiya_workers.control_plane.metrics.requests import Measured, template
from kubiya_workers.control_plane.metrics.states import EPHEMERAL, OTHER, QUEUES_SHOWN, Lookout, States
from kubiya_workers.control_plane.routes.metrics import is_local
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.control_plane.store.states import WorkersOfQueue

SEGMENT = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=8)


async def ok(request: Request) -> Response:
    return Response("ok")


async def broken(request: Request) -> Response:
    raise RuntimeError("no")


async def away(request: Request) -> Response:
    raise Unavailable("not now")


ROUTES = Router(
    [
        Route("/plain", ok),
        Route("/things/{thing}", ok),
        Route("/things/{thing}/parts/{part}", ok),
        Route("/models/{ref:path}", ok),
        Route("/broken", broken),
        Route("/away", away),
        Mount("/v1", Router([Route("/chat", ok)])),
    ]
)


async def counted(method: str, path: str) -> Mapping[str, str]:
    """The labels under which one request is counted."""
    metrics = Metrics()
    transport = httpx.ASGITransport(Measured(ROUTES, metrics), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://plane") as client:
        await client.request(method, path)
    family = next(f for f in metrics.registry.collect() if f.name == "kubiya_control_plane_http_requests")
    (labels,) = (sample.labels for sample in family.samples if sample.name.endswith("_total"))
    return labels


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/plain", "/plain", "200"),
        ("/things/1", "/things/{thing}", "200"),
        ("/things/things", "/things/{thing}", "200"),
        ("/things/a/parts/a", "/things/{thing}/parts/{part}", "200"),
        ("/things/1/parts/12", "/things/{thing}/parts/{part}", "200"),
        ("/things/a%20b", "/things/{thing}", "200"),
        ("/models/lab/big/one", "/models/{ref}", "200"),
        ("/v1/chat", "/v1/chat", "200"),
        ("/v1/nothing", "unmatched", "404"),
        ("/wp-admin.php", "unmatched", "404"),
        ("/broken", "/broken", "500"),
        ("/away", "/away", "503"),
    ],
)
async def test_requests_are_counted_by_route(path: str, route: str, status: str) -> None:
    assert await counted("GET", path) == {"method": "GET", "route": route, "status": status}


async def test_methods_that_nobody_knows_are_one() -> None:
    assert (await counted("BREW", "/plain"))["method"] == "other"


@given(SEGMENT, SEGMENT)
def test_no_value_is_left_in_a_template(thing: str, part: str) -> None:
    scope = {
        "path": f"/things/{thing}/parts/{part}",
        "path_params": {"thing": thing, "part": part},
        "endpoint": ok,
    }
    assert set(template(scope, 200).split("/")) == {"", "things", "parts", "{thing}", "{part}"}


def request(host: str, client: str, **headers: str) -> Request:
    pairs = {"host": host, **{name.replace("_", "-"): text for name, text in headers.items()}}
    raw = [(name.encode(), text.encode()) for name, text in pairs.items()]
    return Request({"type": "http", "headers": raw, "client": (client, 1)})


@pytest.mark.parametrize("host", ["localhost:7466", "127.0.0.1:7466", "[::1]:7466", "127.0.0.1"])
def test_a_program_of_this_machine_is_local(host: str) -> None:
    assert is_local(request(host, "127.0.0.1"))
    assert not is_local(request(host, "192.0.2.1"))
    assert not is_local(request(host, "127.0.0.1", x_forwarded_for="192.0.2.1"))
    assert not is_local(request(host, "127.0.0.1", forwarded="for=192.0.2.1"))


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "192.0.2.1:7466"])
def test_a_page_that_took_our_address_is_not_local(host: str) -> None:
    assert not is_local(request(host, "127.0.0.1"))


async def healthy() -> Mapping[str, Check]:
    return {"database": Check(ok=True, latency_ms=1.0)}


async def test_one_look_serves_all_who_ask_meanwhile(database: Database) -> None:
    asked = 0

    async def checks() -> Mapping[str, Check]:
        nonlocal asked
        asked += 1
        return await healthy()

    lookout = Lookout(kept_s=60)
    await asyncio.gather(*(lookout.look(database, checks) for _ in range(20)))
    assert asked == 1
    eager = Lookout(kept_s=0)
    await eager.look(database, checks)
    await eager.look(database, checks)
    assert asked == 3


async def test_without_a_database_the_page_says_so_and_is_there() -> None:
    class Away:
        dialect = "sqlite"

        def reading(self) -> Any:
            raise Unavailable("the database does not answer")

    async def checks() -> Mapping[str, Check]:
        return {"database": Check(ok=False, detail="away")}

    page = await Metrics().page(Away(), checks, readers=0)  # type: ignore[arg-type]
    assert value(page, "kubiya_control_plane_part_up", part="database") == 0
    assert b"kubiya_control_plane_workers{" not in page


def test_states_are_added_up_over_what_has_no_series_of_its_own() -> None:
    rows = [WorkersOfQueue(f"run-{n}", True, WorkerStatus.ACTIVE, 1, NOW) for n in range(5)]
    rows += [WorkersOfQueue(f"q{n:04}", False, WorkerStatus.ACTIVE, 2, NOW) for n in range(QUEUES_SHOWN + 3)]
    page = Metrics().render(States(workers=rows), readers=0)
    assert value(page, "kubiya_control_plane_workers", queue=EPHEMERAL, state="active") == 5
    assert value(page, "kubiya_control_plane_workers", queue=OTHER, state="active") == 6
    assert value(page, "kubiya_control_plane_workers", queue="q0000", state="active") == 2
