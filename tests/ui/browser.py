"""Debian's chromium before the pages of a real installation."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_AXE = Path(__file__).parents[2] / "ui/node_modules/axe-core/axe.min.js"
# Nothing of it goes out by itself: where the network is closed, what is refused would be retried for ever.
QUIET = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)

_SLOW_MS = 20_000
"""A busy machine may be that slow."""
expect.set_options(timeout=_SLOW_MS)


def patient(context: BrowserContext) -> BrowserContext:
    """It waits for what it acts on as long as an assertion waits for what it asserts: the two are set apart."""
    context.set_default_timeout(_SLOW_MS)
    return context


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """A browser without a window; its sandbox cannot be had by root."""
    arguments = [*QUIET, *flags, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def no_barriers(page: Page) -> None:
    """axe finds nothing serious on the page, in either theme, and 380 px are enough for it: it is left so narrow."""
    page.add_script_tag(path=_AXE)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found: Any = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
        assert not serious, [(v["id"], [node["html"][:120] for node in v["nodes"][:3]]) for v in serious]
    page.set_viewport_size({"width": 380, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
