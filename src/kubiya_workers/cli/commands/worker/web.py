"""The web interface beside a worker that is started: its flags, its start, and what is said of its address."""

import asyncio
import functools
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import click

from kubiya_workers.launchers import console
from kubiya_workers.launchers.spec import LocalWorker
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.console import ConsoleSettings
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import Source

from ... import talk

_LONG_S, _SOON_S = 30.0, 2.0


def web_options(command: Callable[..., int]) -> Callable[..., int]:
    """The flags of the web interface, given to the command as `web`: variables that they stand for."""

    @click.option("--webui-port", type=click.IntRange(0, 65_535), help="Port of the web interface; 8088 without it.")
    @click.option("--no-webui", is_flag=True, help="Without the web interface.")
    @click.option("--webui-allowed-host", multiple=True, help="A further name of the web interface; repeatable.")
    @functools.wraps(command)
    def with_web(
        *given: Any, webui_port: int | None, no_webui: bool, webui_allowed_host: tuple[str, ...], **named: Any
    ) -> int:
        web: Mapping[v.AnyVariable, object] = {
            v.WEBUI_PORT: webui_port,
            v.WEBUI: "false" if no_webui else None,
            v.WEBUI_ALLOWED_HOSTS: ",".join(webui_allowed_host) or None,
        }
        return command(*given, web=web, **named)

    return with_web


@asynccontextmanager
async def web_interface(paths: Paths, spec: LocalWorker) -> AsyncGenerator[None]:
    """It runs beside the worker, which does not wait for it; its address is said once it is known."""
    async with console.beside(paths, Source.of_process().with_(spec.env), spec):
        saying = asyncio.create_task(say_address(paths, spec, within=_LONG_S), name="say-address")
        try:
            yield
        finally:
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)


async def say_address(paths: Paths, spec: LocalWorker, *, within: float = _SOON_S) -> None:
    """Where the web interface is, unless it is turned off; one that takes longer is opened by `kubiya ui`."""
    if not ConsoleSettings.of(Source.of_process().with_(spec.env)).on:
        return
    if (why := console.missing()) is not None:
        talk.note(f"Without the web interface: {why}")
        return
    found = await console.up(paths, within)
    talk.note(f"Web interface: {_shown(found) if found else 'kubiya ui'}")


def _shown(found: console.ConsoleState) -> str:
    """What lets a browser in is for a person at a terminal: it must be in no log."""
    return console.address(found) if sys.stderr.isatty() else f"{found.url} (open it with: kubiya ui)"
