"""Every page in a real browser, before a real worker with a real run."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ..e2e.gateways import share_litellm, uv_cache
from ..e2e.machine import until
from .browser import no_barriers, patient
from .screenshots import busy, pages, settled
from .stack import HOSTILE, QUEUE, Stack, stack

STATIC = Path(__file__).parents[2] / "src/kubiya_workers/console/static/index.html"
pytestmark = pytest.mark.skipif(not STATIC.exists(), reason="the pages are not built: Node.js 20 or newer is missing")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Stack]:
    root = tmp_path_factory.mktemp("pages")
    share_litellm(root)
    with stack(root) as running:
        yield running


@pytest.fixture(scope="module")
def runs(made: Stack) -> dict[str, str]:
    return busy(made)


@pytest.fixture(scope="module")
def let_in(browser: Browser, made: Stack) -> Iterator[BrowserContext]:
    # Scripts of a test are put into pages whose own policy knows no others.
    context = patient(browser.new_context(bypass_csp=True, reduced_motion="reduce"))
    page = context.new_page()
    page.goto(made.address())
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(let_in: BrowserContext) -> Iterator[Page]:
    opened = let_in.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    yield opened
    opened.close()
    assert problems == []


PAGES = list(pages({"done": "", "failed": "", "asks": "", "live": "", "job": ""}))


@pytest.mark.parametrize("title", PAGES)
def test_a_page_is_there_after_a_reload_and_open_to_all(
    title: str, page: Page, made: Stack, runs: dict[str, str]
) -> None:
    settled(page, made.origin + pages(runs)[title])
    heading = page.locator("main h1").inner_text()
    page.reload()
    expect(page.locator("main h1")).to_have_text(heading)
    expect(page.locator(".failure button")).to_have_count(0)
    no_barriers(page)


def test_a_run_is_started_watched_and_read(page: Page, made: Stack) -> None:
    settled(page, f"{made.origin}/playground")
    page.get_by_label("Queue").select_option(QUEUE)
    page.get_by_role("textbox", name="Prompt").fill("Look at this repository and tell me.")
    page.get_by_role("button", name="Run").click()
    page.wait_for_url(re.compile(r"/playground/[0-9a-f-]{36}$"))
    expect(page.locator(".run-bar .badge").first).to_have_text("completed")
    expect(page.locator(".answer table")).to_contain_text("214")
    tool = page.locator(".tool").first
    tool.locator(".tool-line").click()
    expect(tool.locator(".terminal .ansi-green")).to_have_text("ok")
    expect(tool).to_contain_text("214 passed")
    page.get_by_role("link", name="Details").click()
    for tab in ("Timeline", "Raw events", "Usage"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tabpanel")).not_to_be_empty()


def test_an_answer_streams_and_can_be_stopped(page: Page, made: Stack) -> None:
    run = made.submit("Count slowly, so that it can be stopped.")
    page.goto(f"{made.origin}/playground/{run}")
    answer = page.locator(".answer").last
    expect(answer).to_contain_text("3 4")
    before = answer.inner_text()
    expect(answer).to_contain_text("12 13")
    assert answer.inner_text().startswith(before[:20])
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".run-bar .badge").first).to_have_text("cancelled")
    made.until_status(run, "cancelled")


def test_an_approval_is_given_in_place(page: Page, made: Stack) -> None:
    run = made.submit("Ask before you do it.", agent="careful")
    page.goto(f"{made.origin}/playground/{run}")
    expect(page.locator(".approval")).to_be_visible()
    expect(page.locator(".tool-main")).to_have_text("echo approved")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator(".run-bar .badge").first).to_have_text("completed")
    expect(page.locator(".approval")).to_have_count(0)


def test_a_team_is_chosen_and_its_members_run_is_one_click_away(page: Page, made: Stack) -> None:
    settled(page, f"{made.origin}/playground")
    page.get_by_label("Agent or team").select_option(label="crew")
    page.get_by_role("textbox", name="Prompt").fill("Lead the team.")
    page.get_by_role("button", name="Run").click()
    card = page.locator(".tool")
    expect(card.locator(".tool-main")).to_have_text("careful: Ask before it.")
    expect(card).to_contain_text("waits for approval of shell by a person")
    card.get_by_role("link", name="Its run").click()
    expect(page.get_by_text("Member of")).to_be_visible()
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.locator("main h1 .badge")).to_have_text("completed")  # until then the page moves under the mouse
    page.get_by_role("link", name=re.compile("^[0-9a-f-]{36}$")).click()  # its parent
    expect(page.get_by_text("The team is done.").first).to_be_visible()
    page.get_by_role("tab", name="Usage").click()
    expect(page.get_by_role("rowheader", name="Its members")).to_be_visible()
    page.goto(f"{made.origin}/executions")
    for name in ("team crew", "crew/careful"):
        expect(page.get_by_role("cell", name=name, exact=True)).to_be_visible()
    page.get_by_label("Team").select_option(label="crew")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("cell", name="team crew", exact=True)).to_be_visible()


def test_what_tools_and_models_print_is_text(page: Page, made: Stack) -> None:
    run = made.submit("Print something hostile, please.")
    made.until_status(run, "completed")
    page.goto(f"{made.origin}/playground/{run}")
    page.locator(".tool-line").click()
    expect(page.locator(".tool .terminal")).to_contain_text(HOSTILE)
    assert "owned" not in page.title()
    assert page.locator("#main img, #main script").count() == 0


def test_sessions_are_found_and_the_address_says_which(page: Page, made: Stack, runs: dict[str, str]) -> None:
    settled(page, f"{made.origin}/executions")
    rows = page.locator("tbody tr")
    page.get_by_label("Status").select_option("failed")
    expect(rows).to_have_count(1)
    page.get_by_label("Text").fill("nothing is like this")
    expect(page.get_by_text("No session is like that")).to_be_visible()
    assert "status=failed" in page.url and "text=" in page.url
    page.get_by_label("Text").fill("at once")
    expect(rows).to_have_count(1)
    page.get_by_label("Text").blur()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/executions/{runs['failed']}")
    expect(page.get_by_role("alert").first).to_contain_text("does not speak that language")


def test_a_job_is_triggered_turned_off_and_its_address_shown_to_who_asks(page: Page, made: Stack) -> None:
    made.job("watched", trigger_type="webhook", overlap="skip")
    settled(page, f"{made.origin}/jobs")
    page.get_by_text("watched").click()
    page.wait_for_url("**/jobs/*")
    dialog = page.get_by_role("alertdialog")
    page.get_by_role("button", name="Trigger", exact=True).click()
    dialog.get_by_role("button", name="Trigger").click()
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("manual")
    expect(row).to_contain_text("fired")
    expect(row).to_contain_text("completed")
    page.get_by_role("button", name="Disable", exact=True).click()
    dialog.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("button", name="Enable", exact=True)).to_be_visible()
    expect(page.get_by_text("/api/v1/webhooks/")).to_have_count(0)
    page.get_by_role("button", name="Show its address").click()
    expect(page.get_by_text("/api/v1/webhooks/")).to_be_visible()
    page.get_by_role("link", name="Its sessions").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_trigger_asks_for_what_the_prompt_needs(page: Page, made: Stack) -> None:
    job = made.job("deploy", trigger_type="manual", prompt_template="Say {{word}} for {{job.name}}")
    hook = made.job("review", trigger_type="webhook", prompt_template="Say {{payload.word}}")
    dialog = page.get_by_role("alertdialog")
    for path, field, wrong, value in ((job, "word", "", "hello"), (hook, "payload", "{", '{"word": "hello"}')):
        settled(page, f"{made.origin}/jobs/{path}")
        page.get_by_role("button", name="Trigger", exact=True).click()
        dialog.get_by_label(field).fill(wrong)
        if wrong:
            dialog.get_by_role("button", name="Trigger").click()
            expect(dialog.get_by_role("alert")).to_contain_text("not JSON")
        dialog.get_by_label(field).fill(value)
        dialog.get_by_role("button", name="Trigger").click()
        expect(page.locator("tbody tr").first).to_contain_text("completed")


def test_the_keyboard_goes_everywhere(page: Page, made: Stack) -> None:
    settled(page, f"{made.origin}/")
    for key, path in (("w", "/workers"), ("m", "/models"), ("l", "/logs"), ("o", "/")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"{made.origin}{path}")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_worker_is_paused_and_resumed_from_its_page(page: Page, made: Stack) -> None:
    settled(page, f"{made.origin}/workers/{QUEUE}")
    for name, state in (("Pause", "paused"), ("Resume", "running")):
        page.get_by_role("button", name=name, exact=True).click()
        page.get_by_role("alertdialog").get_by_role("button", name=name, exact=True).click()
        expect(page.locator("main h1 .badge")).to_have_text(state)

    def works() -> bool:
        seen: Any = made.machine.json("worker", "status", f"--queue-id={QUEUE}")
        return seen["pause"] is None and bool(seen["report"] and seen["report"]["taking"])

    until(works, "it takes work again")


def test_a_log_is_searched_and_followed(page: Page, made: Stack) -> None:
    settled(page, f"{made.origin}/logs?source=worker/{QUEUE}")
    lines = page.locator(".log-line")
    page.get_by_label("Search the log").fill("Connected to Temporal")
    expect(lines).to_have_count(1)
    page.get_by_label("Search the log").fill("Task completed")
    run = made.submit("Say hello to the log")
    made.until_status(run, "completed")
    expect(page.locator(".log-line", has_text=run)).not_to_have_count(0)


def test_a_large_log_is_searched_to_its_begin(page: Page, made: Stack) -> None:
    """Further back than one answer reaches; and only what can be seen is in the page."""
    log = made.machine.home / ".kubiya/workers/large/logs/worker.log"
    log.parent.mkdir(parents=True)
    lines = (f"2026-01-02T03:04:05.000Z [INFO] Line number {number:07} {'.' * 200}\n" for number in range(100_000))
    log.with_name("worker.log.1").write_text("".join(lines))
    log.write_text("2026-01-02T03:04:06.000Z [INFO] The newest line\n")
    settled(page, f"{made.origin}/logs?source=worker/large")
    expect(page.get_by_text("The newest line")).to_be_visible()
    assert page.locator(".log-line").count() < 100
    page.get_by_label("Search the log").fill("NUMBER 0000003")
    expect(page.locator(".log-line")).to_have_text([re.compile("number 0000003")])
    page.get_by_label("Search the log").fill("nothing is like this")
    expect(page.get_by_text("No line of this log is like that.")).to_be_visible()


def test_a_model_is_tested(page: Page, made: Stack) -> None:
    settled(page, f"{made.origin}/models")
    page.get_by_role("button", name="Test kubiya/offline").click()
    expect(page.locator("tr", has_text="kubiya/offline").get_by_role("status")).to_contain_text("offline model")


def test_a_litellm_is_stopped_and_started_from_its_page(page: Page, made: Stack) -> None:
    params = {"model": "openai/anything", "api_base": made.model.url, "api_key": "none"}
    config = json.dumps({"model_list": [{"model_name": "mine", "litellm_params": params}]})
    words = ("worker", "start", "--type=local", "-d", "--queue-id=own", "--enable-local-proxy")
    started = made.machine.run(*words, f"--proxy-config-json={config}", env={"UV_CACHE_DIR": uv_cache()}, timeout=300)
    assert started.returncode == 0, started.stderr
    try:
        run = made.submit("Say hello", worker_queue_id="own")
        made.until_status(run, "completed")
        settled(page, f"{made.origin}/proxy")
        own = page.locator("section.panel", has_text="Beside the worker of own")
        expect(own.get_by_role("region", name="Requests by model")).to_contain_text("mine")
        for name, state in (("Stop", "stopped"), ("Start", "running")):
            own.get_by_role("button", name=name, exact=True).click()
            asks = page.get_by_role("alertdialog")
            expect(asks).to_contain_text(f"{name} it?")
            asks.get_by_role("button", name=name, exact=True).click()
            expect(own.locator(".badge").first).to_have_text(state, timeout=90_000)
            page.get_by_role("link", name="Overview").click()
            said = page.get_by_text("was stopped by a person: the worker of queue own takes no work")
            expect(said).to_have_count(1 if state == "stopped" else 0)
            page.go_back()
    finally:
        assert made.machine.run("worker", "stop", "--queue-id=own").returncode == 0


def test_a_web_interface_that_is_killed_comes_back_to_its_pages(browser: Browser, made: Stack) -> None:
    """The page says that it is away, and goes on without a reload: let in, nothing lost or doubled, able to act."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(made.address())
    run = made.submit("Count slowly while the web interface is killed.")
    page.goto(f"{made.origin}/playground/{run}")
    expect(page.locator(".answer").last).to_contain_text("3 4")
    page.evaluate(WATCHED, SILENT)
    state = made.machine.home / ".kubiya/console/console.json"
    os.kill(json.loads(state.read_text())["pid"], signal.SIGKILL)
    expect(page.get_by_text(SILENT)).to_be_visible()
    expect(page.get_by_text(SILENT)).to_have_count(0, timeout=60_000)
    far = len(counted(page)) + 10
    until(lambda: len(counted(page)) > far, "the answer goes on", 60)
    numbers = counted(page)[:far]
    assert numbers == [str(number) for number in range(far)]
    assert page.locator(".answer").count() == 1
    assert [there for there, _ in seen(page)] == [False, True, False]
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".run-bar .badge").first).to_have_text("cancelled")
    context.close()


def test_two_tabs_see_the_same(let_in: BrowserContext, made: Stack) -> None:
    run = made.submit("Look at this repository with two tabs.")
    tabs = [let_in.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto(f"{made.origin}/playground/{run}")
    for tab in tabs:
        expect(tab.locator(".run-inner")).to_contain_text("Its tests pass.")
    assert tabs[0].locator(".run-inner").inner_text() == tabs[1].locator(".run-inner").inner_text()
    for tab in tabs:
        tab.close()


WATCHED = """(words) => {
  window.seen = [];
  const look = () => {
    const there = document.body.innerText.includes(words);
    if (there !== window.seen.at(-1)?.there) window.seen.push({ there, at: Date.now() });
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  look();
}"""
"""Keeps when some words came and went; a page that is loaded again has forgotten it."""
AWAY, SILENT = "has been away for", "The web interface does not answer"
SAID_WITHIN_S = 5.0


def seen(page: Page) -> list[tuple[bool, float]]:
    """Whether the words were there, and since when, in seconds since the epoch."""
    found: Any = page.evaluate("window.seen")
    return [(one["there"], one["at"] / 1000) for one in found]


def counted(page: Page) -> list[str]:
    """The numbers of an answer that counts."""
    return page.locator(".answer .markdown").last.inner_text().split()


def test_a_control_plane_that_goes_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    """Said within 5 s, even of one that hangs; what was missed is there afterwards, once, without a reload."""
    with stack(tmp_path) as made:
        context = browser.new_context()
        page = context.new_page()
        page.goto(made.address())
        run = made.submit("Count slowly while the control plane is away.")
        page.goto(f"{made.origin}/playground/{run}")
        expect(page.locator(".answer").last).to_contain_text("3 4")
        page.evaluate(WATCHED, AWAY)
        server: Any = made.machine.json("server", "status")
        os.kill(server["pid"], signal.SIGSTOP)
        stopped_at = time.time()
        expect(page.get_by_text(AWAY)).to_be_visible()
        os.kill(server["pid"], signal.SIGCONT)
        expect(page.get_by_text(AWAY)).to_have_count(0, timeout=60_000)
        assert made.machine.run("server", "stop").returncode == 0
        expect(page.get_by_text(AWAY)).to_be_visible()
        assert made.machine.run("server", "start").returncode == 0
        expect(page.get_by_text(AWAY)).to_have_count(0, timeout=60_000)
        expect(page.locator(".answer").last).to_contain_text("0 1 2 3", timeout=60_000)
        until(lambda: len(counted(page)) > 30, "the answer goes on", 60)
        assert counted(page)[:30] == [str(number) for number in range(30)]
        assert page.locator(".answer").count() == 1
        told = seen(page)
        assert [there for there, _ in told] == [False, True, False, True, False]
        assert told[1][1] - stopped_at <= 2 * SAID_WITHIN_S, told  # a busy machine gets twice the time
        page.get_by_role("link", name="Overview").click()
        assert made.machine.run("server", "stop").returncode == 0
        expect(page.get_by_text("kubiya server start")).to_have_count(1)
        expect(page.get_by_role("alert").filter(has_text="control plane")).to_have_count(0)
        assert made.machine.run("server", "start").returncode == 0
        expect(page.get_by_text(AWAY)).to_have_count(0, timeout=60_000)
        made.call("POST", f"/executions/{run}/cancel")
        context.close()
