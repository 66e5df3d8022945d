"""Pictures of every page in both themes, from a real installation: `make screenshots` writes them to docs/pictures."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from .browser import chromium
from .stack import FAR, QUEUE, Fleet, Stack, fleet

THEMES = ("light", "dark")
OURS = [str(Path(__file__).parents[2]), "/home/me/kubiya-workers"]
RENAMED = """(names) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const [from, to] of names) texts.currentNode.data = texts.currentNode.data.replaceAll(from, to);
  }
}"""
"""Whose machine the pictures were made on is nobody's business."""
SIZE = {"width": 1360, "height": 860}


def main() -> None:
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as root, fleet(Path(root)) as here, chromium() as browser:
        runs = busy(here.made)
        here.made.submit("Count slowly on another machine.", worker_queue_id=FAR)
        for theme in THEMES:
            take(browser, here.made, target, theme, runs)
            take_fleet(browser, here, target, theme)


def busy(made: Stack) -> dict[str, str]:
    """Runs of every kind; their ids by what is seen of them."""
    done = made.submit("Look at this repository and say what it is made of.")
    failed = made.submit("Fail at once, so that the failure can be seen.")
    for _ in range(4):
        made.until_status(made.submit("Say hello"), "completed")
    made.until_status(done, "completed")
    made.until_status(failed, "failed")
    asks = made.submit("Ask before you do anything.", agent="careful")
    made.until_status(asks, "waiting_for_input")
    live = made.submit("Count slowly, so that it can be watched.")
    made.until_status(live, "running")
    return {"done": done, "failed": failed, "asks": asks, "live": live, "job": scheduled(made)}


def scheduled(made: Stack) -> str:
    """Jobs of every kind; the id of one that was fired."""
    made.job("nightly", trigger_type="cron", cron_schedule="30 2 * * *", cron_timezone="Europe/Berlin")
    hook = made.job("greet", trigger_type="webhook", prompt_template="Say hello to {{payload.name}}")
    for _ in range(2):
        fired = made.call("POST", f"/jobs/{hook}/trigger", json={"payload": {"name": "the team"}})
        made.until_status(fired["execution_id"], "completed")
    made.call("POST", f"/jobs/{made.job('by hand', enabled=False)}/trigger")
    return hook


def pages(runs: dict[str, str]) -> dict[str, str]:
    return {
        "overview": "/",
        "workers": "/workers",
        "worker": f"/workers/{QUEUE}",
        "playground": f"/playground/{runs['done']}",
        "approval": f"/playground/{runs['asks']}",
        "live": f"/playground/{runs['live']}",
        "sessions": "/executions",
        "session": f"/executions/{runs['done']}",
        "failed": f"/executions/{runs['failed']}",
        "jobs": "/jobs",
        "job": f"/jobs/{runs['job']}",
        "proxy": "/proxy",
        "models": "/models",
        "environment": "/environment",
        "doctor": "/doctor",
        "control-plane": "/control-plane",
        "logs": "/logs",
    }


def take(browser: Browser, made: Stack, target: Path, theme: str, runs: dict[str, str]) -> None:
    context = browser.new_context(viewport=SIZE, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(made.address())
    for title, path in pages(runs).items():
        settled(page, made.origin + path)
        page.evaluate(RENAMED, [[str(made.machine.home), "/home/me"], [str(made.machine.root), "/home/me"], OURS])
        page.screenshot(path=target / f"{title}-{theme}.png")
    context.close()


def take_fleet(browser: Browser, here: Fleet, target: Path, theme: str) -> None:
    """What a control plane itself serves."""
    context = browser.new_context(viewport=SIZE, color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{here.origin}/")
    page.get_by_role("button", name="Sign in").wait_for()
    page.screenshot(path=target / f"fleet-sign-in-{theme}.png")
    page.goto(here.address())
    worker = here.worker()["id"]
    for title, path in {"": "/", "-workers": "/workers", "-worker": f"/workers/{worker}"}.items():
        settled(page, here.origin + path)
        page.evaluate(RENAMED, [[str(here.south.root), "/home/me"], [str(here.made.machine.root), "/home/me"], OURS])
        page.screenshot(path=target / f"fleet{title}-{theme}.png")
    context.close()


def settled(page: Page, address: str) -> None:
    """Its data have come, and were drawn."""
    page.goto(address)
    page.wait_for_selector("main h1")
    page.get_by_text("Loading…").wait_for(state="hidden")
    page.wait_for_timeout(900)


if __name__ == "__main__":
    main()
