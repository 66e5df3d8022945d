"""The page of a long run in a browser: how soon it is there, how smoothly it scrolls, what a live stream costs it."""

import asyncio
import shutil
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from playwright.async_api import Page, async_playwright

from .effort import Effort
from .figures import Figure
from .installation import KUBIYA, Installation, installation

EVENTS, PER_SECOND = 20_000, 200
OPEN_S, FRAMES, SHARE = 2.0, 50.0, 30.0
_PER_ROUND = 5
_BATCH = 100
_QUEUE = "nobody"
_SCROLL_S = 4.0
FRAMES_SEEN = """async (seconds) => {
  const frame = document.querySelector('.run-frame');
  let frames = 0;
  const began = performance.now();
  frame.scrollTop = 0;
  while (performance.now() - began < seconds * 1000) {
    await new Promise(requestAnimationFrame);
    frame.scrollTop += 120;
    frames += 1;
  }
  return frames / ((performance.now() - began) / 1000);
}"""


async def measure(effort: Effort) -> list[Figure]:
    if shutil.which("chromium") is None:
        return []
    with installation() as made:
        made.start_server(made.start_model())
        run = await _long_run(made)
        async with browser(made) as page:
            opened = await _opened(page, made, run)
            frames = float(await page.evaluate(FRAMES_SEEN, _SCROLL_S))
            share = await _live(page, made, run, effort.idle_s)
    return [
        Figure(f"page of {EVENTS} events → there", opened, "s", 1, budget=OPEN_S),
        Figure("it scrolls", frames, "frames/s", 1, budget=FRAMES, at_least=True),
        Figure(f"live at {PER_SECOND} events/s", share, "% of a core", 1, budget=SHARE, note="in the page"),
    ]


@asynccontextmanager
async def browser(made: Installation) -> AsyncGenerator[Page]:
    """One that the web interface knows."""
    line = made.spawn(KUBIYA, "ui", "--no-open", "-o", "json").until_said('"open": ')
    address = line.split('"')[3]
    async with async_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = await browser.new_page()
        await page.goto(address)
        yield page
        await browser.close()


async def _opened(page: Page, made: Installation, run: str) -> float:
    """Seconds until the last step of a run is on the screen."""
    origin = page.url.split("/", 3)
    began = time.monotonic()
    await page.goto(f"{origin[0]}//{origin[2]}/playground/{run}")
    last = EVENTS // _PER_ROUND - 1
    await page.get_by_text(f"echo round {last}", exact=True).wait_for(timeout=60_000)
    return time.monotonic() - began


async def _live(page: Page, made: Installation, run: str, seconds: float) -> float:
    """What share of a core the page's main thread takes while events come."""
    busy = await main_thread(page)
    async with _api(made) as api:
        began, before, after = time.monotonic(), await busy(), EVENTS // _PER_ROUND
        for number in range(int(seconds * PER_SECOND / _PER_ROUND)):
            await _append(api, run, _round(after + number))
            await asyncio.sleep(max(0.0, began + (number + 1) * _PER_ROUND / PER_SECOND - time.monotonic()))
        return 100 * (await busy() - before) / (time.monotonic() - began)


async def main_thread(page: Page) -> Callable[[], Awaitable[float]]:
    """Tells, from now on, for how many seconds the page's main thread has worked."""
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("Performance.enable")

    async def busy() -> float:
        metrics: Any = await devtools.send("Performance.getMetrics")
        return next(metric["value"] for metric in metrics["metrics"] if metric["name"] == "TaskDuration")

    return busy


async def _long_run(made: Installation) -> str:
    """An execution that nobody takes, with the events of many rounds of a model and its tool."""
    async with _api(made) as api:
        (await api.post("/environments/default/worker-queues", json={"name": _QUEUE})).raise_for_status()
        body = {"prompt": "Go on.", "worker_queue_id": _QUEUE}
        run = (await api.post("/agents/default/execute", json=body)).raise_for_status().json()["id"]
        rounds = [_round(number) for number in range(EVENTS // _PER_ROUND)]
        for at in range(0, len(rounds), _BATCH):
            await _append(api, run, [event for one in rounds[at : at + _BATCH] for event in one])
    return run


def _api(made: Installation) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {made.key}"}
    return httpx.AsyncClient(base_url=f"{made.url}/api/v1", headers=headers, timeout=60)


async def _append(api: httpx.AsyncClient, run: str, events: Iterable[dict[str, Any]]) -> None:
    (await api.post(f"/executions/{run}/events", json={"events": list(events)})).raise_for_status()


def _round(number: int) -> list[dict[str, Any]]:
    """A model call that asks for a tool, and the tool."""
    model, tool = 2 * number + 1, 2 * number + 2
    name, call, command = "shell", f"call-{tool}", f"echo round {number}"
    message = {
        "role": "assistant",
        "content": f"Round **{number}**.",
        "message_id": f"msg-{model}",
        "model": "scripted",
    }
    done = {"tool_name": name, "tool_execution_id": call, "tool_status": "success", "content": f"round {number}\n"}
    return [
        _event("model_started", model, {"model": "scripted"}),
        _event("usage", model, {"model": "scripted", "input_tokens": 9, "output_tokens": 3}),
        _event("message", model, message),
        _event(
            "tool_started", tool, {"tool_name": name, "tool_execution_id": call, "tool_input": {"command": command}}
        ),
        _event("tool_completed", tool, {**done, "duration_ms": 3}),
    ]


def _event(kind: str, step: int, fields: dict[str, Any]) -> dict[str, Any]:
    return {"event_type": kind, "data": {"step": step, "attempt": 1, **fields}}
