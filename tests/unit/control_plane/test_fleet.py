"""The pages of a fleet before the real API: who is let in, as whom, and who is not, tried for every route."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from kubiya_workers.cli.fleet import web_interface
from kubiya_workers.console.door import CSRF, Names
from kubiya_workers.console.fleet import BASE, Below
from kubiya_workers.console.keyed import TRIES
from kubiya_workers.contracts.keys import NewKey, Scope
from kubiya_workers.control_plane.services import keys
from kubiya_workers.settings.console import ConsoleSettings

from .conftest import Api

HOST = "http://127.0.0.1:7466"
SIGN_IN = f"{BASE}/console/api/sign-in"
SESSION = f"{BASE}/console/api/session"


@dataclass
class Fleet:
    api: Api
    browser: httpx.AsyncClient

    async def sign_in(self, scope: Scope = Scope.ADMIN) -> str:
        """Let the browser in with a fresh key; what goes with its changes."""
        made = await keys.create(self.api.plane.database, NewKey(name=f"a {scope}", scope=scope))
        assert (await self.browser.post(SIGN_IN, json={"key": made.key})).status_code == 204
        csrf: str = (await self.browser.get(SESSION)).json()["csrf"]
        return csrf

    def routes(self) -> list[tuple[str, str]]:
        """Method and an address of everything that is served below the base but pages."""
        mounted = next(route.app for route in self.api.app.routes if getattr(route, "path", None) == BASE)  # type: ignore[attr-defined]
        assert isinstance(mounted, Below) and isinstance(mounted.app, FastAPI)
        found = [(method.upper(), path) for path, ways in mounted.app.openapi()["paths"].items() for method in ways]
        for route in mounted.app.routes:
            if isinstance(route, Route) and route.path != "/{path:path}":
                found += [(method, route.path) for method in sorted(route.methods or ())]
        return [(method, BASE + re.sub(r"\{[^}]*\}", "x", path)) for method, path in found]


@pytest.fixture
async def fleet(api: Api) -> AsyncIterator[Fleet]:
    web = ConsoleSettings(allowed_hosts=("fleet.example.com",))
    plane = replace(api.plane, settings=replace(api.plane.settings, web=web))
    transport = httpx.ASGITransport(api.app)
    async with (
        web_interface(api.app, plane, HOST, Names(web.allowed_hosts, ("127.0.0.1",))),
        httpx.AsyncClient(transport=transport, base_url=HOST) as browser,
    ):
        yield Fleet(api, browser)


async def test_a_key_lets_a_browser_in_with_what_it_may_do(fleet: Fleet) -> None:
    for scope in (Scope.ADMIN, Scope.CLIENT, Scope.READ):
        await fleet.sign_in(scope)
        session = (await fleet.browser.get(SESSION)).json()
        assert session["scope"] == "fleet" and session["guest"]["key_scope"] == scope
        assert session["guest"]["key_name"] == f"a {scope}"
        assert (await fleet.browser.get(f"{BASE}/api/v1/workers")).json() == []


async def test_the_scope_of_the_key_bounds_what_its_pages_do(fleet: Fleet) -> None:
    wanted = {Scope.ADMIN: (201, 404), Scope.CLIENT: (201, 403), Scope.READ: (403, 403)}
    for scope, (made, asked) in wanted.items():
        headers = {CSRF: await fleet.sign_in(scope)}
        agent = await fleet.browser.post(f"{BASE}/api/v1/agents", json={"name": f"of-{scope}"}, headers=headers)
        pause = await fleet.browser.post(f"{BASE}/api/v1/workers/nobody/pause", headers=headers)
        assert (agent.status_code, pause.status_code) == (made, asked), scope


async def test_the_keys_of_workers_and_of_nobody_open_nothing(fleet: Fleet) -> None:
    made = await keys.create(fleet.api.plane.database, NewKey(name="w", scope=Scope.WORKER))
    assert (await fleet.browser.post(SIGN_IN, json={"key": made.key})).status_code == 403
    assert (await fleet.browser.post(SIGN_IN, json={"key": "kbw_nobody"})).status_code == 401
    assert not fleet.browser.cookies


async def test_the_cookie_is_for_these_pages_alone(fleet: Fleet) -> None:
    made = await keys.create(fleet.api.plane.database, NewKey(name="k"))
    plain = (await fleet.browser.post(SIGN_IN, json={"key": made.key})).headers["set-cookie"]
    assert "HttpOnly" in plain and "SameSite=strict" in plain and f"Path={BASE}" in plain and "Secure" not in plain
    assert made.key not in plain
    behind = {"X-Forwarded-Proto": "https", "Host": "fleet.example.com", "Origin": "https://fleet.example.com"}
    secure = (await fleet.browser.post(SIGN_IN, json={"key": made.key}, headers=behind)).headers["set-cookie"]
    assert "Secure" in secure
    named = {name: value for name, value in fleet.browser.cookies.items()}
    answer = await fleet.api.nobody.get(
        "/api/v1/agents", headers={"Cookie": "; ".join("=".join(p) for p in named.items())}
    )
    assert answer.status_code == 401, "the API itself knows keys and no cookies"


async def test_a_ticket_lets_one_browser_in_and_leads_to_the_pages(fleet: Fleet) -> None:
    ticket = (await fleet.api.read.post("/api/v1/tickets")).json()["ticket"]
    first = await fleet.browser.get(f"{BASE}/workers?token={ticket}&q=far")
    assert first.status_code == 303 and first.headers["location"] == f"{BASE}/workers?q=far"
    assert (await fleet.browser.get(SESSION)).json()["guest"]["key_name"] == "read"
    fleet.browser.cookies.clear()
    second = await fleet.browser.get(f"{BASE}/?token={ticket}")
    assert second.status_code == 401 and "kubiya ui --fleet" in second.text
    for path in ("/%5Cevil.example", "//evil.example", "/%2F%2Fevil.example"):
        ticket = (await fleet.api.read.post("/api/v1/tickets")).json()["ticket"]
        place = (await fleet.browser.get(f"{BASE}{path}?token={ticket}")).headers["location"]
        assert place.startswith(f"{BASE}/"), place


async def test_wrong_keys_are_tried_only_so_often(fleet: Fleet) -> None:
    for _ in range(TRIES):
        assert (await fleet.browser.post(SIGN_IN, json={"key": "kbw_guess"})).status_code == 401
    made = await keys.create(fleet.api.plane.database, NewKey(name="k"))
    refused = await fleet.browser.post(SIGN_IN, json={"key": made.key})
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0


async def test_a_session_ends_with_its_key_and_so_do_its_streams(fleet: Fleet) -> None:
    made = await keys.create(fleet.api.plane.database, NewKey(name="k"))
    await fleet.browser.post(SIGN_IN, json={"key": made.key})
    assert (await fleet.browser.get(SESSION)).status_code == 200  # known from here on: the stream is let in at once
    following = asyncio.create_task(fleet.browser.get(f"{BASE}/console/api/live"))
    await asyncio.sleep(0)
    assert (await fleet.api.admin.delete(f"/api/v1/keys/{made.id}")).status_code == 204
    assert (await fleet.browser.get(SESSION)).status_code == 401
    # A snapshot is told every few seconds, each only to whoever is still known.
    assert (await asyncio.wait_for(following, 30)).status_code == 200


async def test_no_route_answers_a_stranger(fleet: Fleet) -> None:
    routes = fleet.routes()
    assert len(routes) > 6
    for method, path in routes:
        answer = await fleet.browser.request(method, path)
        assert answer.status_code == (422 if path == SIGN_IN else 401), (method, path, answer.status_code)


async def test_no_route_answers_a_page_of_another_origin(fleet: Fleet) -> None:
    csrf = await fleet.sign_in()
    for method, path in fleet.routes():
        for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:7466"):
            answer = await fleet.browser.request(method, path, headers={"Origin": origin, CSRF: csrf})
            assert answer.status_code == 403, (method, path, origin)
        for site in ("cross-site", "same-site"):
            answer = await fleet.browser.request(method, path, headers={"Sec-Fetch-Site": site, CSRF: csrf})
            assert answer.status_code == 403, (method, path, site)


async def test_no_route_answers_under_a_foreign_name_or_without_the_token_of_the_page(fleet: Fleet) -> None:
    csrf = await fleet.sign_in()
    for method, path in (*fleet.routes(), ("GET", f"{BASE}/"), ("GET", f"{BASE}/workers")):
        for host in ("evil.example", "127.0.0.1.evil.example:7466", "127.0.0.2:7466"):
            answer = await fleet.browser.request(method, path, headers={"Host": host, CSRF: csrf})
            assert answer.status_code == 403, (method, path, host)
        if method not in ("GET", "HEAD") and path != SIGN_IN:
            for said in ({}, {CSRF: "x"}, {CSRF: csrf[:-1]}):
                answer = await fleet.browser.request(method, path, headers=said)
                assert answer.status_code == 403, (method, path, said)


async def test_what_is_not_for_pages_is_not_passed_on(fleet: Fleet) -> None:
    headers = {CSRF: await fleet.sign_in()}
    for method, path in (("GET", "keys"), ("POST", "keys"), ("POST", "tickets"), ("POST", "workers/x/heartbeat")):
        answer = await fleet.browser.request(method, f"{BASE}/api/v1/{path}", headers=headers, json={})
        assert answer.status_code == 403 and "not for pages" in answer.text, path


async def test_the_way_to_the_pages(fleet: Fleet) -> None:
    for path in ("/", BASE):
        answer = await fleet.browser.get(path)
        assert answer.status_code == 303 and answer.headers["location"] == f"{BASE}/"
    assert (await fleet.browser.get("/nothing")).status_code == 404


async def test_there_are_none_where_they_are_turned_off(api: Api) -> None:
    off = replace(api.plane, settings=replace(api.plane.settings, web=ConsoleSettings(on=False)))
    async with web_interface(api.app, off, HOST, Names()):
        assert (await api.nobody.get(f"{BASE}/")).status_code == 404
