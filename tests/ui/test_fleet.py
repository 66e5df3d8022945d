"""The pages that a control plane serves for its whole fleet: two machines, each with a home and a worker of its own."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ..e2e.machine import until
from .browser import no_barriers, patient
from .conftest import REBOUND
from .elsewhere import TRIES, answers_of, site
from .screenshots import settled
from .stack import FAR, QUEUE, Fleet, fleet
from .test_pages import STATIC

pytestmark = pytest.mark.skipif(not STATIC.exists(), reason="the pages are not built: Node.js 20 or newer is missing")

READS = (
    *("/console/api/session", "/api/v1/workers", "/api/v1/executions", "/api/v1/models", "/api/v1/agents"),
    "/api/v1/worker-queues",
)
CHANGES = (
    ("POST", "/console/api/sign-in"),
    ("POST", "/console/api/sign-out"),
    ("POST", "/console/api/models/test"),
    ("POST", "/api/v1/agents/default/execute"),
    ("DELETE", "/api/v1/agents/default"),
    ("PUT", "/api/v1/models/default"),
)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Fleet]:
    with fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser that was not let in. Scripts of a test are put into pages whose own policy knows no others."""
    made = patient(browser.new_context(bypass_csp=True, reduced_motion="reduce"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def session(browser: Browser, here: Fleet) -> Any:
    """What a browser keeps that was let in."""
    made = browser.new_context()
    made.new_page().goto(here.address())
    kept = made.storage_state()
    made.close()
    return kept


@pytest.fixture
def page(browser: Browser, session: Any, here: Fleet) -> Iterator[Page]:
    """Of a browser that was let in."""
    made = patient(browser.new_context(bypass_csp=True, reduced_motion="reduce", storage_state=session))
    page = made.new_page()
    page.goto(f"{here.origin}/")
    yield page
    made.close()


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Key of this control plane").fill(key)
    page.get_by_role("button", name="Sign in").click()


def row(page: Page, queue: str) -> Any:
    """That of a queue's worker which lives: one that was silent for too long registers anew, and is lost before."""
    gone = re.compile("disconnected|lost")
    return page.locator("tbody tr", has=page.get_by_text(queue, exact=True), has_not_text=gone)


def ask(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
    page.get_by_role("alertdialog").get_by_role("button", name=name, exact=True).click()


def accessible(page: Page) -> None:
    no_barriers(page)
    page.set_viewport_size({"width": 1280, "height": 800})


def test_a_key_that_is_typed_opens_the_page_that_was_asked_for(context: BrowserContext, here: Fleet) -> None:
    page, key = context.new_page(), here.key("admin")["key"]
    page.goto(f"{here.origin}/workers")
    accessible(page)
    sign_in(page, "kbw_nobody-has-this-one")
    expect(page.get_by_role("alert")).to_contain_text("not known here")
    assert context.cookies() == []
    sign_in(page, key)
    expect(row(page, QUEUE)).to_contain_text("north")
    expect(row(page, FAR)).to_contain_text("south")
    assert page.url == f"{here.origin}/workers"
    cookie: Any = context.cookies()[0]
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["path"] == "/ui"
    assert page.evaluate("document.cookie") == "" and key not in page.content() and key not in str(cookie)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key of this control plane")).to_be_visible()
    assert context.cookies() == []


def test_an_address_lets_one_browser_in_once(browser: Browser, context: BrowserContext, here: Fleet) -> None:
    address, page = here.address(), context.new_page()
    page.goto(address)
    expect(page.locator("main h1")).to_have_text("Overview")
    assert "token" not in page.url
    other = browser.new_context()
    answer = other.new_page().goto(address)
    assert answer is not None and answer.status == 401
    other.close()


@pytest.mark.parametrize(
    "path", ["/", "/workers", "/playground", "/executions", "/models", "/control-plane", "/doctor"]
)
def test_a_page_is_there_after_a_reload_and_open_to_all(path: str, page: Page, here: Fleet) -> None:
    settled(page, here.origin + path)
    heading = page.locator("main h1").inner_text()
    page.reload()
    expect(page.locator("main h1")).to_have_text(heading)
    expect(page.locator(".failure button")).to_have_count(0)
    accessible(page)


def test_what_tells_of_one_machine_says_where_it_is(page: Page, here: Fleet) -> None:
    for path in ("/doctor", "/environment", "/logs", "/proxy"):
        page.goto(here.origin + path)
        expect(page.locator(".empty")).to_contain_text("kubiya ui")
        name = page.locator("main h1").inner_text()
        expect(page.get_by_role("navigation").get_by_role("link", name=name)).to_have_count(0)


def test_a_worker_of_another_machine_is_paused_and_resumed(page: Page, here: Fleet) -> None:
    page.goto(f"{here.origin}/workers")
    row(page, FAR).click()
    page.wait_for_url(f"**/workers/{here.worker()['id']}")
    for name, state, paused in (("Pause", "paused", True), ("Resume", "active", False)):
        ask(page, name)
        expect(page.locator("main [role=status]")).to_contain_text(f"Asked to {name.lower()} by local")
        expect(page.locator("main h1 .badge")).to_have_text(state)
        expect(page.locator("main [role=status]")).to_contain_text("It heard at")

        def stands(paused: bool = paused) -> bool:
            seen: Any = here.south.json("worker", "status", f"--queue-id={FAR}")
            return (seen["pause"] is not None) == paused and seen["report"] and seen["report"]["taking"] is not paused

        until(stands, f"it is {state} by its own account")
    accessible(page)


def test_a_worker_of_another_machine_is_restarted(page: Page, here: Fleet) -> None:
    before = here.worker()
    page.goto(f"{here.origin}/workers/{before['id']}")
    ask(page, "Restart")
    expect(page.locator("main h1 .badge")).to_have_text("disconnected")
    expect(page.locator(".banner.bad")).to_contain_text("It hears nothing any more")
    page.get_by_role("link", name="Another of its queue runs").click()
    expect(page.locator("main h1 .badge")).to_have_text("active")
    after = here.worker()
    assert after["id"] != before["id"] and after["hostname"] == "south" and page.url.endswith(after["id"])

    def record() -> Any:
        status: Any = here.south.json("worker", "status", f"--queue-id={FAR}")
        return status["record"]

    until(lambda: record()["worker_id"] == after["id"], "its keeper has heard of it")
    assert record()["restarts"] == 1


def test_a_run_is_started_for_a_queue_of_another_machine(page: Page, here: Fleet) -> None:
    settled(page, f"{here.origin}/playground")
    page.get_by_label("Queue").select_option(FAR)
    page.get_by_role("textbox", name="Prompt").fill("Look at this repository and tell me.")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/ui/playground/[0-9a-f-]{36}$"))
    expect(page.locator(".run-bar .badge").first).to_have_text("completed")
    expect(page.locator(".answer table")).to_contain_text("214")
    found = here.made.call("GET", f"/executions/{page.url.rpartition('/')[2]}")
    assert found["worker_id"] == here.worker()["id"]


def test_a_model_is_tested_as_the_key_of_the_browser(page: Page, here: Fleet) -> None:
    settled(page, f"{here.origin}/models")
    page.get_by_role("button", name="Test kubiya/offline").click()
    expect(page.locator("tr", has_text="kubiya/offline").get_by_role("status")).to_contain_text("offline model")


def test_a_key_for_looking_sees_and_cannot_act(context: BrowserContext, here: Fleet) -> None:
    page, worker = context.new_page(), here.worker()["id"]
    page.goto(f"{here.origin}/workers/{worker}")
    sign_in(page, here.key("read")["key"])
    expect(page.locator("main h1")).to_contain_text(FAR)
    expect(page.get_by_text("may only look").first).to_be_visible()
    for name in ("Pause", "Drain", "Restart"):
        button = page.get_by_role("button", name=name, exact=True)
        expect(button).to_be_disabled()
        assert "scope read" in (button.get_attribute("title") or "")
    accessible(page)
    page.goto(f"{here.origin}/playground")
    page.get_by_role("textbox", name="Prompt").fill("Say hello")
    expect(page.get_by_role("button", name="Run")).to_be_disabled()
    job = here.made.job("seen", trigger_type="webhook")
    page.goto(f"{here.origin}/jobs/{job}")
    for name in ("Trigger", "Disable", "Show its address"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
    forced = """async (paths) => {
      const {csrf} = await (await fetch('/ui/console/api/session')).json();
      const headers = {'X-Kubiya-CSRF': csrf, 'Content-Type': 'application/json'};
      const body = '{"prompt": "x", "model": "kubiya/offline"}';
      const ask = (path) => fetch('/ui' + path, {method: 'POST', headers, body});
      return Promise.all(paths.map(async (path) => (await ask(path)).status));
    }"""
    paths = [f"/api/v1/workers/{worker}/drain", "/api/v1/agents/default/execute", "/console/api/models/test"]
    paths.append(f"/api/v1/jobs/{job}/trigger")
    assert page.evaluate(forced, paths) == [403, 403, 403, 403]
    assert here.worker()["wish"] is None or here.worker()["wish"]["action"] != "drain"


def test_a_key_of_a_client_runs_and_asks_nothing_of_workers(context: BrowserContext, here: Fleet) -> None:
    page = context.new_page()
    page.goto(f"{here.origin}/workers/{here.worker()['id']}")
    sign_in(page, here.key("client")["key"])
    button = page.get_by_role("button", name="Pause", exact=True)
    expect(button).to_be_disabled()
    assert "scope admin" in (button.get_attribute("title") or "")
    page.goto(f"{here.origin}/playground")
    page.get_by_role("textbox", name="Prompt").fill("Say hello")
    expect(page.get_by_role("button", name="Run")).to_be_enabled()


def test_a_session_ends_with_its_key(context: BrowserContext, here: Fleet) -> None:
    page, key = context.new_page(), here.key("client")
    page.goto(here.origin + "/")
    sign_in(page, key["key"])
    expect(page.locator("main h1")).to_have_text("Overview")
    here.made.call("DELETE", f"/keys/{key['id']}")
    expect(page.get_by_text("You were signed out")).to_be_visible()
    assert page.evaluate("fetch('/ui/api/v1/workers').then(answer => answer.status)") == 401
    sign_in(page, key["key"])
    expect(page.get_by_role("alert")).to_contain_text("was revoked")


def test_a_page_of_another_origin_can_neither_read_nor_act(page: Page, here: Fleet, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html><title>elsewhere</title>")
    worker, context = here.worker(), page.context
    changes = (*CHANGES, ("POST", f"/api/v1/workers/{worker['id']}/drain"))
    before = here.made.call("GET", "/executions", params={"limit": 1000})
    with site(tmp_path) as port:
        stranger = context.new_page()
        stranger.goto(f"http://127.0.0.1:{port}/")
        outcome = stranger.evaluate(TRIES, [here.origin, READS, changes])
        assert len(outcome) > 20
        for name, result in outcome.items():
            assert result == "failed" or result.strip() == "opaque 0", (name, result)
        for name, path in {"drain": f"/api/v1/workers/{worker['id']}/drain", "in": "/console/api/sign-in"}.items():
            form = f"<form method=post enctype=text/plain action='{here.origin}{path}'><input name='{{}}'></form>"
            (tmp_path / f"{name}.html").write_text(f"<!doctype html>{form}<script>document.forms[0].submit()</script>")
            answers = answers_of(stranger, here.origin)
            stranger.goto(f"http://127.0.0.1:{port}/{name}.html")
            stranger.wait_for_url(f"{here.origin}{path}")
            assert set(answers) == {403}, path
        (tmp_path / "frame.html").write_text(f"<!doctype html><iframe src='{here.origin}/'></iframe>")
        stranger.goto(f"http://127.0.0.1:{port}/frame.html", wait_until="load")
        assert "Kubiya" not in stranger.frames[1].content()
    answer = stranger.goto(f"http://{REBOUND}:{urlsplit(here.origin).port}/ui/")
    assert answer is not None and answer.status == 403
    assert here.made.call("GET", "/executions", params={"limit": 1000}) == before
    assert here.worker()["id"] == worker["id"] and here.worker()["wish"] == worker["wish"]
    assert page.evaluate("fetch('/ui/console/api/session').then(answer => answer.status)") == 200


def test_a_control_plane_that_goes_and_comes_back_knows_its_browsers(page: Page, here: Fleet) -> None:
    page.goto(f"{here.origin}/workers")
    expect(row(page, FAR)).to_be_visible()
    assert here.made.machine.run("server", "stop").returncode == 0
    expect(page.get_by_text("control plane does not answer")).to_be_visible()
    assert here.made.machine.run("server", "start").returncode == 0
    expect(page.get_by_text("control plane does not answer")).to_have_count(0, timeout=60_000)
    until(lambda: here.worker()["status"] == "active", "the worker is back", 60)
    expect(row(page, FAR)).to_contain_text("active", timeout=60_000)
