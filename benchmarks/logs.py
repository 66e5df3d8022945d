"""A log of 100,000 lines in a browser: how soon it is there, how smoothly it scrolls, is searched and followed."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import Page

from .effort import Effort
from .figures import Figure
from .installation import Installation, installation
from .pages import FRAMES, SHARE, browser, main_thread

LINES, FILES, PER_SECOND = 100_000, 5, 200
THERE_S, FOUND_S, LONGEST_MS = 2.0, 1.0, 100.0
_QUEUE = "logged"
_SCROLL_S = 4.0
_NEEDLE = "execution 31415 of many"
_LOADED_MS = 180_000
TO_THE_BEGIN = """async ({ height }) => {
  const frame = document.querySelector('.log-frame');
  const spans = [];
  let last = performance.now();
  while (document.querySelector('.log-inner').offsetHeight < height || frame.scrollTop > 0) {
    await new Promise(requestAnimationFrame);
    frame.dispatchEvent(new WheelEvent('wheel', { deltaY: -1 }));
    frame.scrollTop -= 2000;
    const now = performance.now();
    spans.push(now - last);
    last = now;
  }
  return spans;
}"""
"""Up through all of it, as older lines come."""
THROUGH = """async ({ seconds }) => {
  const frame = document.querySelector('.log-frame');
  const spans = [];
  const began = performance.now();
  let [last, by] = [began, 2000];
  while (last - began < seconds * 1000) {
    await new Promise(requestAnimationFrame);
    if (frame.scrollTop + frame.clientHeight >= frame.scrollHeight - 2000) by = -2000;
    frame.scrollTop += by;
    const now = performance.now();
    spans.push(now - last);
    last = now;
  }
  return spans;
}"""
ONE_LINE = "() => document.querySelectorAll('.log-line').length === 1"
WATCHED = """({ seconds }) => new Promise((done) => {
  const spans = [];
  const began = performance.now();
  let last = began;
  const look = (now) => {
    spans.push(now - last);
    last = now;
    if (now - began < seconds * 1000) requestAnimationFrame(look);
    else done(spans);
  };
  requestAnimationFrame(look);
})"""


async def measure(effort: Effort) -> list[Figure]:
    if shutil.which("chromium") is None:
        return []
    with installation() as made:
        made.start_server(made.start_model())
        log = _written(made)
        async with browser(made) as page:
            there = await _there(page)
            loading: list[float] = await page.evaluate(TO_THE_BEGIN, {"height": LINES * 20})
            scrolling: list[float] = await page.evaluate(THROUGH, {"seconds": _SCROLL_S})
            found = await _found(page)
            following, share = await _followed(page, log, effort.idle_s)
    what = f"log of {LINES} lines"
    return [
        Figure(f"{what} → its newest line", there, "s", 1, budget=THERE_S),
        _smoothness(f"{what}, loaded to its begin", loading),
        _smoothness(f"{what}, it scrolls", scrolling),
        Figure(f"{what}, longest frame", max(scrolling), "ms", len(scrolling), budget=LONGEST_MS),
        Figure(f"{what}, a line is found", found, "s", 1, budget=FOUND_S, note="the pause after typing included"),
        _smoothness(f"{what}, followed at {PER_SECOND} lines/s", following),
        Figure("what that costs the page", share, "% of a core", 1, budget=SHARE),
    ]


def _smoothness(name: str, spans: list[float]) -> Figure:
    """`spans` are the milliseconds of each frame."""
    note = f"longest frame {max(spans):.0f} ms"
    return Figure(name, 1000 * len(spans) / sum(spans), "frames/s", len(spans), budget=FRAMES, at_least=True, note=note)


def _written(made: Installation) -> Path:
    """A worker's log as it is after some rotations; the newest file."""
    log = made.home / ".kubiya" / "workers" / _QUEUE / "logs" / "worker.log"
    log.parent.mkdir(parents=True)
    each = LINES // FILES
    for number in range(FILES):
        rotated = FILES - 1 - number
        file = log if rotated == 0 else log.with_name(f"worker.log.{rotated}")
        file.write_text("".join(_lines(number * each, each)))
    return log


def _lines(first: int, count: int) -> Iterator[str]:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(first, first + count):
        at = (began + timedelta(milliseconds=100 * number)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level = "WARN" if number % 50 == 0 else "INFO"
        text = f"\x1b[32mTask completed\x1b[0m execution {number} of many"
        yield f"{at} [{level}] {text} step=3 attempt=1 duration_ms=12.5\n"


async def _there(page: Page) -> float:
    """Seconds until the newest line can be read."""
    origin = page.url.split("/", 3)
    began = time.monotonic()
    await page.goto(f"{origin[0]}//{origin[2]}/logs?source=worker/{_QUEUE}")
    await page.get_by_text(f"execution {LINES - 1} of many").wait_for(timeout=_LOADED_MS)
    return time.monotonic() - began


async def _found(page: Page) -> float:
    """Seconds until the one line with some words, in an old file, is all that is shown; then all is shown again."""
    search = page.get_by_label("Search the log")
    began = time.monotonic()
    await search.fill(_NEEDLE)
    await page.wait_for_function(ONE_LINE, timeout=_LOADED_MS)
    took = time.monotonic() - began
    await search.fill("")
    await page.get_by_text(f"execution {LINES - 1} of many").wait_for(timeout=_LOADED_MS)
    await page.evaluate(TO_THE_BEGIN, {"height": LINES * 20})
    await page.evaluate("document.querySelector('.log-frame').scrollTop = 1e9")
    return took


async def _followed(page: Page, log: Path, seconds: float) -> tuple[list[float], float]:
    """The milliseconds of each frame while lines come, and what share of a core the page's main thread takes."""
    busy = await main_thread(page)
    before, began = await busy(), time.monotonic()
    watching = asyncio.create_task(page.evaluate(WATCHED, {"seconds": seconds}))
    number, batch = LINES, PER_SECOND // 20
    with log.open("a") as file:
        while not watching.done():
            file.writelines(_lines(number, batch))
            file.flush()
            number += batch
            await asyncio.sleep(batch / PER_SECOND)
    spans: Any = await watching
    share = 100 * (await busy() - before) / (time.monotonic() - began)
    await page.get_by_text(f"execution {number - 1} of many").wait_for(timeout=_LOADED_MS)
    return spans, share
