"""`kubiya ui`."""

import asyncio
import webbrowser
from dataclasses import dataclass

import click

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.launchers import console, server
from kubiya_workers.launchers.spec import ServerMode
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting, Source

from .. import talk
from ..connect import reach, settings
from ..exit import Exit
from ..output import Format, output_option, show_plain
from ..running import run

_UP_WITHIN_S = 30.0


@dataclass(frozen=True)
class _Shown:
    """How the address is handed over."""

    output: Format
    opens: bool


@click.command("ui")
@click.option("--no-open", is_flag=True, help="Only print the address.")
@click.option("--fleet", is_flag=True, help="That of the control plane, with all its workers, as this command's key.")
@output_option
def command(no_open: bool, fleet: bool, output: Format) -> int:
    """Open the web interface of this machine's workers, or of a whole fleet.

    The address lets one browser in, once; each call makes a fresh one. When no worker runs, the web interface is
    started here, and stays until Ctrl-C.
    """
    known, shown = settings(), _Shown(output, opens=not no_open)
    if fleet:
        run(_of_fleet(known, shown))
        return Exit.DONE
    state = console.status(known.paths)
    if state is not None:
        _hand_over(known.paths, state, shown, started=False)
        return Exit.DONE
    if (why := console.missing()) is not None:
        raise BadSetting(f"there can be no web interface: {why}")
    run(_until_told(known, shown))
    return Exit.DONE


async def _of_fleet(known: ClientSettings, shown: _Shown) -> None:
    """An address at the control plane; one that was started for this command stays until Ctrl-C."""
    async with reach(known) as reached:
        ticket = await reached.client.keys.ticket()
        state = server.status(known.paths) if reached.embedded else None
        borrowed = state is not None and state.mode is ServerMode.ON_DEMAND
        address = f"{reached.url}{ticket.path}?token={ticket.ticket}"
        _show(known.paths, f"{reached.url}{ticket.path}", address, shown, started=borrowed)
        if borrowed:
            talk.note("The control plane runs until Ctrl-C.")
            await asyncio.Event().wait()


async def _until_told(known: ClientSettings, shown: _Shown) -> None:
    async with reach(known) as reached:
        wish = console.ConsoleWish(known.paths, Source.of_process(), reached.url, reached.key, reached.embedded)
        async with console.kept(wish):
            state = await console.up(known.paths, _UP_WITHIN_S)
            if state is None:
                raise Unavailable("the web interface did not start", fix=f"see {known.paths.console_log}")
            _hand_over(known.paths, state, shown, started=True)
            talk.note("It runs until Ctrl-C.")
            await asyncio.Event().wait()


def _hand_over(paths: Paths, state: console.ConsoleState, shown: _Shown, *, started: bool) -> None:
    _show(paths, state.url, console.address(state), shown, started=started)


def _show(paths: Paths, url: str, address: str, shown: _Shown, *, started: bool) -> None:
    show_plain({"url": url, "open": address, "started": started}, shown.output, address)
    if shown.opens and shown.output is Format.TEXT:
        webbrowser.open(console.opener(paths, address).as_uri())
