"""Who is let in, and who is not: tried for every route that there is."""

import time
from pathlib import Path

import httpx

from kubiya_workers.console.door import CSRF, Names, Sessions
from kubiya_workers.launchers import signin

from .conftest import BASE, KEY, SECRET, Console

WRITES = ("POST", "PUT", "PATCH", "DELETE")


async def test_a_token_lets_one_browser_in_once(console: Console) -> None:
    address = console.address("/workers/q")
    first = await console.stranger.get(f"{address}&tab=log")
    assert first.status_code == 303 and first.headers["location"] == "/workers/q?tab=log"
    cookie = first.headers["set-cookie"]
    assert cookie.startswith("kubiya_8088=") and "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert "token" not in cookie and first.headers["cache-control"] == "no-store"
    assert (await console.stranger.get("/console/api/session")).status_code == 200
    console.stranger.cookies.clear()
    second = await console.stranger.get(address)
    assert second.status_code == 401 and "set-cookie" not in second.headers


async def test_a_browser_that_is_in_may_open_a_used_address_again(console: Console) -> None:
    address = console.address()
    await console.stranger.get(address)
    again = await console.stranger.get(address)
    assert again.status_code == 303 and "set-cookie" not in again.headers


async def test_a_token_of_nobody_lets_nobody_in(console: Console) -> None:
    for token in ("", "x", "1.2.3", "é.x.y", signin.make("another secret", time.time())):
        assert (await console.stranger.get("/", params={"token": token})).status_code == 401, token


async def test_an_address_never_leads_elsewhere(console: Console) -> None:
    for path in ("/%5Cevil.example", "//evil.example", "/%2F%2Fevil.example"):
        answer = await console.stranger.get(console.address(path))
        place = answer.headers["location"]
        assert httpx.URL(BASE).join(place).netloc == httpx.URL(BASE).netloc and "\\" not in place, place


async def test_a_token_is_good_for_half_a_day() -> None:
    token = signin.make(SECRET, 1_000_000.0)
    assert signin.is_good(SECRET, token, 1_000_000.0 + signin.GOOD_FOR_S - 1)
    assert not signin.is_good(SECRET, token, 1_000_000.0 + signin.GOOD_FOR_S + 1)
    assert await Sessions(SECRET, clock=lambda: 1_000_000.0 + signin.GOOD_FOR_S + 1).exchange(token) is None


async def test_who_was_let_in_by_a_predecessor_is_known_and_its_tokens_are_not() -> None:
    told: list[tuple[str, ...]] = []
    before = Sessions(SECRET, on_change=told.append)
    session = await before.exchange(signin.make(SECRET, time.time()))
    assert session is not None and session not in told[-1][0], "no cookie can be made of what is kept"
    unused = signin.make(SECRET, time.time())
    after = Sessions("another secret", known=told[-1], on_change=told.append)
    assert await after.knows(session) and not await after.knows(told[-1][0])
    assert await after.exchange(unused) is None
    assert after.csrf(session) != before.csrf(session)
    second = await after.exchange(signin.make("another secret", time.time()))
    assert second is not None and len(told[-1]) == 2


async def test_no_route_answers_a_stranger(console: Console) -> None:
    routes = list(console.routes())
    assert len(routes) > 12
    for method, path in routes:
        answer = await console.stranger.request(method, path)
        assert answer.status_code == 401, (method, path, answer.status_code)
    for path in ("/console/api/anything", "/api/v2/x", "/api", "/console/api/", "//console/api/session"):
        assert (await console.stranger.get(path)).status_code == 401, path


async def test_no_route_answers_a_page_of_another_origin(console: Console) -> None:
    csrf = await console.enter()
    for method, path in console.routes():
        for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost.evil.example:8088"):
            answer = await console.stranger.request(method, path, headers={"Origin": origin, CSRF: csrf})
            assert answer.status_code == 403, (method, path, origin)
            assert "access-control-allow-origin" not in answer.headers
        for site in ("cross-site", "same-site"):  # a page on another port of this machine is the latter
            answer = await console.stranger.request(method, path, headers={"Sec-Fetch-Site": site, CSRF: csrf})
            assert answer.status_code == 403, (method, path, site)


async def test_no_route_answers_under_a_foreign_name(console: Console) -> None:
    csrf = await console.enter()
    for method, path in (*console.routes(), ("GET", "/"), ("GET", "/workers")):
        for host in ("evil.example", "evil.example:8088", "127.0.0.1.evil.example:8088", "127.0.0.2:8088", ""):
            answer = await console.stranger.request(method, path, headers={"Host": host, CSRF: csrf})
            assert answer.status_code == 403, (method, path, host)


async def test_nothing_is_changed_without_the_token_of_the_page(console: Console) -> None:
    csrf = await console.enter()
    changes = [(method, path) for method, path in console.routes() if method in WRITES]
    assert len(changes) >= 4
    for method, path in changes:
        for said in ({}, {CSRF: ""}, {CSRF: "x"}, {CSRF: csrf[:-1]}, {CSRF: csrf.upper()}):
            answer = await console.stranger.request(method, path, headers=said)
            assert answer.status_code == 403, (method, path, said)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await console.stranger.request(method, path, headers=form, content="a=b")).status_code == 403
    assert (await console.stranger.post("/workers", headers={"Content-Type": "text/plain"})).status_code == 403


async def test_no_preflight_is_answered(console: Console) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for _, path in console.routes():
        answer = await console.stranger.options(path, headers=asked)
        assert answer.status_code == 403 and not any(name.startswith("access-control") for name in answer.headers)


async def test_every_answer_tells_a_browser_what_it_may_not(console: Console) -> None:
    await console.enter()
    for path in ("/", "/console/api/session", "/api/v1/agents", "/console/api/nothing", "/assets/none.js"):
        headers = (await console.stranger.get(path)).headers
        policy = headers["content-security-policy"]
        for part in ("default-src 'self'", "script-src 'self'", "frame-ancestors 'none'", "object-src 'none'"):
            assert part in policy
        assert "unsafe" not in policy and "base-uri 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        if "/api/" in path:
            assert headers["cache-control"] == "no-store"


def test_names_are_loopbacks_and_those_that_are_allowed() -> None:
    names = Names(("workers.example.com", "other.example:444"))
    for host in ("127.0.0.1:8088", "LOCALHOST:9000", "[::1]:8088", "workers.example.com", "workers.example.com:443"):
        assert names.has(host), host
    for host in ("", "example.com", "other.example:445", "x.workers.example.com", "127.0.0.2:8088", "localhost:x"):
        assert not names.has(host), host


def test_the_address_on_which_we_listen_is_a_name_and_no_friend() -> None:
    names = Names((), ("192.0.2.7",))
    assert names.has("192.0.2.7:8088") and not names.has("192.0.2.8:8088") and not Names().has("")
    assert names.has_origin("http://192.0.2.7:8088", "192.0.2.7:8088")
    assert not names.has_origin("http://192.0.2.7:9999", "192.0.2.7:8088"), "another program of that machine"


def test_a_page_is_ours_at_the_name_that_was_asked_and_at_an_allowed_one() -> None:
    names = Names(("workers.example.com",))
    assert names.has_origin("http://127.0.0.1:9000", "127.0.0.1:9000"), "a port that ours is mapped to"
    assert names.has_origin("https://workers.example.com", "127.0.0.1:8088"), "a proxy that asks by our own name"
    for origin in ("http://127.0.0.1:8089", "http://localhost:8088", "file://workers.example.com", "null", ""):
        assert not names.has_origin(origin, "127.0.0.1:8088"), origin


async def test_a_page_is_shown_to_anybody_and_says_what_is_missing(console: Console) -> None:
    answer = await console.stranger.get("/workers/q", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 503 and "make setup" in answer.text and "Node.js 20" in answer.text


async def test_pages_are_one_document_and_files(console: Console, tmp_path: Path) -> None:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>pages</title>")
    (static / "assets" / "app-1a2b.js").write_text("1")
    (tmp_path / "secret.txt").write_text("not for anybody")
    for path in ("/", "/workers/q", "/executions/1", "/index.html"):
        answer = await console.stranger.get(path)
        if path != "/index.html":
            assert "<title>pages" in answer.text and answer.headers["cache-control"] == "no-cache", path
    script = await console.stranger.get("/assets/app-1a2b.js")
    assert script.text == "1" and "immutable" in script.headers["cache-control"]
    for path in ("/assets/none.js", "/favicon.ico", "/..%2Fsecret.txt", "/assets/..%2F..%2Fsecret.txt"):
        assert (await console.stranger.get(path)).status_code == 404, path


async def test_the_key_is_in_no_answer(console: Console) -> None:
    await console.enter()
    for path in ("/console/api/session", "/console/api/environment", "/console/api/doctor/report", "/api/v1/agents"):
        assert KEY not in (await console.stranger.get(path)).text
