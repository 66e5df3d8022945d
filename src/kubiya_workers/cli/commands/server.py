"""`kubiya server`."""

import click

from kubiya_workers.launchers import server
from kubiya_workers.launchers.spec import Endpoint, ServerState

from .. import talk
from ..ages import age
from ..connect import settings
from ..output import Format, details, output_option, show, show_plain
from ..running import run


@click.group("server")
def group() -> None:
    """The control plane of this machine.

    Commands start one on demand and stop it afterwards; one that was started here stays.

    \b
    kubiya server start
    kubiya server status
    kubiya server stop
    """


@group.command()
@click.option("--foreground", is_flag=True, help="Stay in this terminal and log to it.")
@click.option("--host", help="The address to listen on; loopback without it.")
@click.option("--port", type=click.IntRange(0, 65_535), help="The port to listen on; 7466 or the next free without it.")
@output_option
def start(output: Format, foreground: bool, host: str | None, port: int | None) -> None:
    """Start it, and leave it running."""
    if foreground:
        _become_server(host, port)
    known = settings()
    endpoint = run(server.start_daemon(known, host=host, port=port, progress=talk.note))
    show_plain({"url": endpoint.url, "started": endpoint.started}, output, _started(endpoint))
    if endpoint.first_key is not None:
        talk.say(f"Admin key, shown once: {endpoint.first_key}\nIt is also in {known.paths.credentials}")


@group.command()
@output_option
def status(output: Format) -> int:
    """Show whether it runs; exit status 1 when it does not."""
    state = server.status(settings().paths)
    if state is None:
        show_plain({"running": False}, output, "No control plane runs on this machine.")
        return 1
    show(state, output, _text)
    return 0


@group.command()
@click.option("--timeout", type=click.FloatRange(min=0), default=10.0, show_default=True, help="Seconds, then kill it.")
def stop(timeout: float) -> None:
    """Stop it. Runs go on when it is started again."""
    stopped = run(server.stop(settings().paths, timeout))
    talk.say("Stopped the control plane." if stopped else "No control plane runs on this machine.")


def _become_server(host: str | None, port: int | None) -> None:
    from ..serve import main  # the control plane itself: the heaviest import there is

    words = ["--mode", "foreground"]
    words += ["--host", host] if host is not None else []
    words += ["--port", str(port)] if port is not None else []
    main(words)


def _started(endpoint: Endpoint) -> str:
    return f"The control plane {'runs' if endpoint.started else 'already ran'} at {endpoint.url}"


def _text(state: ServerState) -> str:
    return details(
        (
            ("Address", state.url),
            ("Mode", state.mode),
            ("PID", state.pid),
            ("Version", state.version),
            ("Temporal", state.temporal),
            ("Up for", age(state.started_at)),
        )
    )
