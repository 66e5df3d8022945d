"""A page of another origin, in the browser that was let in: it can neither read nor act, on any route."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext

from kubiya_workers.launchers.console import opener
from kubiya_workers.settings.paths import Paths
from tests.e2e.machine import Machine

from .conftest import REBOUND
from .elsewhere import TRIES, answers_of, site

READS = (
    "/console/api/session",
    "/console/api/environment",
    "/console/api/logs",
    "/console/api/logs/lines?source=server",
    "/console/api/logs/download?source=server",
    "/console/api/doctor",
    "/console/api/doctor/report",
    "/console/api/proxy",
    "/api/v1/executions",
    "/api/v1/models",
)
CHANGES = (
    ("POST", "/console/api/workers/q/pause"),
    ("POST", "/console/api/workers/q/drain"),
    ("POST", "/console/api/workers/q/restart"),
    ("PUT", "/console/api/environment/LOG_LEVEL"),
    ("POST", "/console/api/doctor/fix/credentials"),
    ("POST", "/console/api/proxy/server/restart"),
    ("POST", "/api/v1/agents/default/execute"),
    ("DELETE", "/api/v1/agents/default"),
)


@pytest.fixture
def context(browser: Browser, address: str) -> Iterator[BrowserContext]:
    """A browser that was let in."""
    made = browser.new_context()
    page = made.new_page()
    page.goto(address)
    assert "token" not in page.url
    session = page.evaluate("fetch('/console/api/session').then(answer => answer.json())")
    assert session["scope"] == "pool" and len(session["csrf"]) == 64, "it is let in"
    assert page.evaluate("document.cookie") == "", "no script sees the cookie"
    yield made
    made.close()


@pytest.fixture
def base(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def unharmed(machine: Machine) -> None:
    seen: Any = json.loads(machine.run("worker", "status", "--queue-id=q", "-o", "json").stdout)
    assert seen["record"]["state"] == "running" and seen["pause"] is None and seen["record"]["restarts"] == 0
    assert machine.json("execution", "list") == []
    assert not (machine.home / ".kubiya/environment.json").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_can_neither_read_nor_act(
    context: BrowserContext, machine: Machine, pages: Path, base: str, host: str
) -> None:
    """Another port of the same machine is the same site: its pages have the cookie sent along."""
    (pages / "index.html").write_text("<!doctype html><title>elsewhere</title>")
    with site(pages) as port:
        page = context.new_page()
        page.goto(f"http://{host}:{port}/")
        for target in (base, base.replace("127.0.0.1", "localhost")):
            outcome = page.evaluate(TRIES, [target, READS, CHANGES])
            assert len(outcome) > 30
            for name, result in outcome.items():
                # An opaque answer has neither status nor text; that it did nothing is looked at below.
                assert result == "failed" or result.strip() == "opaque 0", (name, result)
        unharmed(machine)


def test_a_form_of_its_is_refused(context: BrowserContext, machine: Machine, pages: Path, base: str) -> None:
    for method, path in CHANGES:
        if method != "POST":
            continue
        form = f"<form method=post enctype=text/plain action='{base}{path}'><input name='{{}}' value='1'></form>"
        (pages / "form.html").write_text(f"<!doctype html>{form}<script>document.forms[0].submit()</script>")
        with site(pages) as port:
            page = context.new_page()
            answers = answers_of(page, base)
            page.goto(f"http://127.0.0.1:{port}/form.html")
            page.wait_for_url(f"{base}{path}")
            assert answers == [403], path
            page.close()
    unharmed(machine)


def test_it_cannot_frame_a_page(context: BrowserContext, pages: Path, base: str) -> None:
    (pages / "frame.html").write_text(f"<!doctype html><iframe src='{base}/'></iframe>")
    with site(pages) as port:
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/frame.html", wait_until="load")
        frame = page.frames[1]
        assert "Kubiya" not in frame.content() and not frame.url.startswith(base)


def test_a_name_that_was_bent_to_this_machine_is_refused(context: BrowserContext, machine: Machine, base: str) -> None:
    page = context.new_page()
    port = urlsplit(base).port
    answer = page.goto(f"http://{REBOUND}:{port}/")
    assert answer is not None and answer.status == 403
    for path in (*READS, "/console/api/live"):
        status = page.evaluate("path => fetch(path).then(answer => answer.status)", path)
        assert status == 403, path
    for method, path in CHANGES:
        asked = "([method, path]) => fetch(path, {method, body: '{}'}).then(answer => answer.status)"
        assert page.evaluate(asked, [method, path]) == 403, path
    unharmed(machine)


def test_a_link_of_its_shows_a_page_but_its_token_is_nobodys(context: BrowserContext, pages: Path, base: str) -> None:
    (pages / "link.html").write_text(f"<!doctype html><a href='{base}/?token=1.guess.2'>here</a>")
    with site(pages) as port:
        page = context.browser.new_context().new_page() if context.browser else context.new_page()
        page.goto(f"http://127.0.0.1:{port}/link.html")
        answers = answers_of(page, base)
        page.click("a")
        page.wait_for_url(f"{base}/**")
        assert answers[0] == 401
        page.context.close()


def test_the_page_that_a_browser_is_started_with_lets_it_in(
    browser: Browser, machine: Machine, address: str, base: str
) -> None:
    file = opener(Paths(machine.home / ".kubiya"), address)
    assert file.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(browser.new_context()) as fresh:
        page = fresh.new_page()
        page.goto(file.as_uri())
        page.wait_for_url(f"{base}/")
        asked = "fetch('/console/api/session').then(answer => answer.status)"
        assert page.evaluate(asked) == 200
