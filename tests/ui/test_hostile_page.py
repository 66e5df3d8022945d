"""A page of another origin, in the browser that was let in: it can neither read nor act, on any route."""

import contextlib
import functools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from kubiya_workers.launchers.console import opener
from kubiya_workers.settings.paths import Paths
from tests.e2e.machine import Machine

from .conftest import REBOUND

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
TRIES = """async ([base, reads, changes]) => {
  const outcome = {};
  const note = async (name, attempt) => {
    try { outcome[name] = await attempt(); } catch (error) { outcome[name] = 'failed'; }
  };
  for (const path of reads) {
    for (const mode of ['cors', 'no-cors']) {
      await note(`${mode} GET ${path}`, async () => {
        const answer = await fetch(base + path, {mode, credentials: 'include'});
        return `${answer.type} ${answer.status} ${await answer.text()}`;
      });
    }
  }
  for (const [method, path] of changes) {
    await note(`cors ${method} ${path}`, async () => {
      const headers = {'Content-Type': 'application/json', 'X-Kubiya-CSRF': 'guess'};
      const answer = await fetch(base + path, {method, credentials: 'include', headers, body: '{}'});
      return `${answer.type} ${answer.status} ${await answer.text()}`;
    });
    if (method === 'POST') {
      await note(`no-cors ${method} ${path}`, async () => {
        const answer = await fetch(base + path, {method, mode: 'no-cors', credentials: 'include', body: '{}'});
        return `${answer.type} ${answer.status} ${await answer.text()}`;
      });
    }
  }
  await note('websocket', () => new Promise((resolve) => {
    const socket = new WebSocket(base.replace('http', 'ws') + '/console/api/live');
    socket.onopen = () => resolve('open');
    socket.onerror = () => resolve('failed');
  }));
  await note('events', () => new Promise((resolve) => {
    const source = new EventSource(base + '/console/api/live', {withCredentials: true});
    source.onmessage = () => resolve('message');
    source.addEventListener('live', () => resolve('live'));
    source.onerror = () => { source.close(); resolve('failed'); };
  }));
  await note('script', () => new Promise((resolve) => {
    const script = document.createElement('script');
    script.src = base + '/console/api/session';
    script.onload = () => resolve('loaded');
    script.onerror = () => resolve('failed');
    document.head.append(script);
  }));
  return outcome;
}"""


@contextmanager
def _site(directory: Path) -> Iterator[int]:
    """Somebody else's web server; its port."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


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
    with _site(pages) as port:
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
        with _site(pages) as port:
            page = context.new_page()
            answers = _answers(page, base)
            page.goto(f"http://127.0.0.1:{port}/form.html")
            page.wait_for_url(f"{base}{path}")
            assert answers == [403], path
            page.close()
    unharmed(machine)


def test_it_cannot_frame_a_page(context: BrowserContext, pages: Path, base: str) -> None:
    (pages / "frame.html").write_text(f"<!doctype html><iframe src='{base}/'></iframe>")
    with _site(pages) as port:
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
    with _site(pages) as port:
        page = context.browser.new_context().new_page() if context.browser else context.new_page()
        page.goto(f"http://127.0.0.1:{port}/link.html")
        answers = _answers(page, base)
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


def _answers(page: Page, base: str) -> list[int]:
    found: list[int] = []
    page.on("response", lambda answer: found.append(answer.status) if answer.url.startswith(base) else None)
    return found
