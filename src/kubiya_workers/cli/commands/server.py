"""`kubiya server`."""

from pathlib import Path

import click

from kubiya_workers.launchers import ports, server
from kubiya_workers.launchers.spec import Endpoint, ServerFlags, ServerState
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.server import TlsFiles
from kubiya_workers.settings.source import Source

from .. import talk
from ..ages import age
from ..connect import settings
from ..output import Format, details, output_option, show, show_plain
from ..running import run

_EXPOSED = """\
Listening on {host} without TLS: whoever is on the way can read keys, prompts and results, and use the keys.
Give it a certificate (--tls-cert, --tls-key), put a proxy that speaks TLS in front of it, or leave it on loopback."""
_RAN_BEFORE = "It ran before: {flags} had no effect. To have it so: kubiya server stop, then start it again."
_OPEN_KEY = "The certificate's key can be read by every user of this machine: chmod 600 {key}"


_FILE = click.Path(path_type=Path, dir_okay=False)


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
    type=_FILE,
    help="A LiteLLM configuration for the gateway: YAML or JSON.",
)
@click.option(
    "--tls-cert", type=_FILE, help="Its certificate (PEM, with its chain): it serves https.  [KUBIYA_TLS_CERT]"
)
@click.option("--tls-key", type=_FILE, help="The key of that certificate (PEM).  [KUBIYA_TLS_KEY]")
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
    tls_cert: Path | None,
    tls_key: Path | None,
    provisioner: str | None,
) -> None:
    """Start it, and leave it running.

    Models are those of --llm-config, or else of the provider keys in its environment. A LiteLLM is started beside it
    only when one of them needs that.

    \b
    kubiya server start
    kubiya server start --llm-config ./litellm_config.yaml
    kubiya server start --host 0.0.0.0 --tls-cert ./fullchain.pem --tls-key ./privkey.pem
    """
    flags = ServerFlags(host, port, llm_config, tls_cert, tls_key, provisioner)
    warnings = _warnings(Source.of_process(), flags)
    if foreground:
        from ..serve import main  # the control plane itself: the heaviest import there is

        for warning in warnings:
            talk.note(warning)
        main(["--mode", "foreground", *flags.words])
    known = settings()
    endpoint = run(server.start_daemon(known, flags=flags, progress=talk.note))
    said = {"url": endpoint.tls_url or endpoint.url, "started": endpoint.started}
    show_plain(said, output, _started(endpoint))
    if not endpoint.started and flags.words:
        warnings = [_RAN_BEFORE.format(flags=" ".join(flags.words))]
    elif not endpoint.started:
        warnings = []
    for warning in warnings:
        talk.note(warning)
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


def _warnings(source: Source, flags: ServerFlags) -> list[str]:
    """What a start with these flags puts at risk."""
    certificate, key = (str(path) if path else None for path in (flags.tls_cert, flags.tls_key))
    tls = TlsFiles.of(source, certificate, key)
    host = source.get(v.SERVER_HOST, flags.host)
    if tls is None:
        return [] if ports.is_loopback(host) else [_EXPOSED.format(host=host)]
    return [_OPEN_KEY.format(key=tls.key)] if tls.key_is_open else []


def _started(endpoint: Endpoint) -> str:
    runs = f"The control plane {'runs' if endpoint.started else 'already ran'} at"
    if endpoint.tls_url:
        return f"{runs} {endpoint.tls_url}\nCommands on this machine reach it at {endpoint.url}"
    return f"{runs} {endpoint.url}"


def _text(state: ServerState) -> str:
    return details(
        (
            ("Address", state.tls_url or state.url),
            ("On this machine", state.url if state.tls_url else None),
            ("Mode", state.mode),
            ("PID", state.pid),
            ("Version", state.version),
            ("Temporal", state.temporal),
            ("Up for", age(state.started_at)),
        )
    )
