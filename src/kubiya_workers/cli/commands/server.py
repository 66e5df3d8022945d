"""`kubiya server`."""

from pathlib import Path

import click

from kubiya_workers.launchers import ports, server
from kubiya_workers.launchers.spec import Endpoint, ServerFlags, ServerState
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.source import Source

from .. import talk
from ..ages import age
from ..connect import settings
from ..output import Format, details, output_option, show, show_plain
from ..running import run

_EXPOSED = """\
Listening on {host} without TLS: whoever is on the way can read keys, prompts and results, and use the keys.
Put a proxy that speaks TLS in front of it, or leave it on loopback."""


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
@click.option(
    "--llm-config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A LiteLLM configuration for the gateway: YAML or JSON.",
)
@click.option(
    "--provisioner",
    type=click.Choice(["process", "docker", "kubernetes", "none"]),
    help="What starts a worker for an execution when none is live.  [default: KUBIYA_PROVISIONER]",
)
@output_option
def start(
    output: Format,
    foreground: bool,
    host: str | None,
    port: int | None,
    llm_config: Path | None,
    provisioner: str | None,
) -> None:
    """Start it, and leave it running.

    Models are those of --llm-config, or else of the provider keys in its environment. A LiteLLM is started beside it
    only when one of them needs that.

    \b
    kubiya server start
    kubiya server start --llm-config ./litellm_config.yaml
    """
    flags = ServerFlags(host, port, llm_config, provisioner)
    listens = Source.of_process().get(v.SERVER_HOST, host)
    exposed = not ports.is_loopback(listens)
    if foreground:
        from ..serve import main  # the control plane itself: the heaviest import there is

        if exposed:
            talk.note(_EXPOSED.format(host=listens))
        main(["--mode", "foreground", *flags.words])
    known = settings()
    endpoint = run(server.start_daemon(known, flags=flags, progress=talk.note))
    show_plain({"url": endpoint.url, "started": endpoint.started}, output, _started(endpoint))
    if exposed and endpoint.started:
        talk.note(_EXPOSED.format(host=listens))
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
