"""`kubiya config get-contexts|current-context|use-context|set-context|delete-context`."""

import sys
from pathlib import Path
from typing import Any

import click
from pydantic import SecretStr

from kubiya_workers.launchers import state
from kubiya_workers.settings import contexts
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.contexts import Context, Contexts, LocalProxy, Named
from kubiya_workers.settings.source import BadSetting, Source, url

from .. import talk
from ..output import Format, output_option, show_plain, table
from .words import confirm

_HEADS = ("CURRENT", "NAME", "CONTROL PLANE", "KEY", "MODEL", "LITELLM")


@click.command("get-contexts")
@output_option
def get_contexts(output: Format) -> None:
    """List the contexts; never their keys."""
    source = Source.of_process()
    found = contexts.read(contexts.file_of(source))
    current = source.get(v.CONTEXT) or found.current_context
    rows = [_row(entry, current) for entry in found.contexts]
    cells = [tuple("*" if value is True else value or "-" for value in row.values()) for row in rows]
    show_plain(rows, output, table(_HEADS, cells) if rows else "No contexts.")


@click.command("current-context")
def current_context() -> None:
    """Print the name of the context in force."""
    found = contexts.in_force(Source.of_process())
    if found is None:
        raise BadSetting("there is no current context; choose one with: kubiya config use-context NAME")
    click.echo(found[0])


@click.command("use-context")
@click.argument("name")
def use_context(name: str) -> None:
    """Make a context the current one."""
    file, found = _file()
    _known(found, name, file)
    write(file, found.model_copy(update={"current_context": name}))
    talk.say(f"Context {name} is the current one.")
    if Source.of_process().get(v.CONTEXT):
        talk.note(f"{v.CONTEXT.name} is set here, and wins over it.")


@click.command("set-context")
@click.argument("name")
@click.option("--url", "address", help="The control plane's address.")
@click.option("--api-key-stdin", is_flag=True, help="Read its key from stdin, or ask for it on a terminal.")
@click.option("--model", help="The model for runs and workers that are told no other.")
@click.option(
    "--enable-local-proxy/--disable-local-proxy", "enabled", default=None, help="A LiteLLM beside each worker here."
)
@click.option("--proxy-config-file", type=click.Path(path_type=Path, exists=True), help="Its configuration.")
@click.option("--proxy-model", help="The model for the calls of its workers.")
def set_context(name: str, address: str | None, api_key_stdin: bool, model: str | None, **proxy: Any) -> None:
    """Make a context, or change one: what is not named stays. The first one becomes the current one.

    \b
    kubiya key create laptop | kubiya config set-context acme --url https://kubiya.acme.example --api-key-stdin
    """
    file, found = _file()
    before = found.get(name) or Context()
    given: dict[str, object] = {"control_plane_url": _address(address), "model": model}
    if api_key_stdin:
        given["api_key"] = SecretStr(_key(name))
    if any(value is not None for value in proxy.values()):
        given["litellm_proxy"] = _proxy(before.litellm_proxy or LocalProxy(), **proxy)
    changed = before.model_copy(update={key: value for key, value in given.items() if value is not None})
    after = found.with_context(name, changed)
    if after.current_context is None:
        after = after.model_copy(update={"current_context": name})
    write(file, after)
    now = ", and is the current one" if after.current_context == name else ""
    talk.say(f"Context {name} is in {file}{now}.")


@click.command("delete-context")
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete_context(name: str, yes: bool) -> None:
    """Delete a context, with the key in it."""
    file, found = _file()
    _known(found, name, file)
    confirm(f"Delete context {name} and its key?", yes=yes)
    write(file, found.without(name))
    talk.say(f"Deleted context {name}.")


COMMANDS = (get_contexts, current_context, use_context, set_context, delete_context)


def _file() -> tuple[Path, Contexts]:
    file = contexts.file_of(Source.of_process())
    return file, contexts.read(file)


def write(file: Path, found: Contexts) -> None:
    """Replace the file, whole, for its owner alone; a link to it stays one.

    Raises:
        BadSetting: it cannot be written.
    """
    target = file.resolve()
    try:
        state.make_private(target.parent)
        state.replace(target, contexts.as_text(found))
    except OSError as error:
        raise state.unwritable(file, error) from error


def _known(found: Contexts, name: str, file: Path) -> None:
    if found.get(name) is None:
        raise BadSetting(f"{file} has no context {name!r}; see: kubiya config get-contexts")


def _address(value: str | None) -> str | None:
    try:
        return url(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not {error}.", param_hint="--url") from None


def _key(name: str) -> str:
    asked = sys.stdin.isatty()
    text = str(click.prompt(f"Key for {name}", hide_input=True, err=True) if asked else sys.stdin.readline()).strip()
    if not text:
        raise click.UsageError("--api-key-stdin: there is no key on stdin.")
    return text


def _proxy(
    before: LocalProxy, enabled: bool | None, proxy_config_file: Path | None, proxy_model: str | None
) -> LocalProxy:
    given: dict[str, object] = {"enabled": enabled, "model": proxy_model}
    changed = {key: value for key, value in given.items() if value is not None}
    if proxy_config_file is not None:
        file = proxy_config_file.resolve()
        changed |= {"config_file": file, "config_json": None, "enabled": enabled is not False}
    return before.model_copy(update=changed)


def _row(entry: Named, current: str | None) -> dict[str, str | bool | None]:
    context, proxy = entry.context, entry.context.litellm_proxy
    return {
        "current": entry.name == current,
        "name": entry.name,
        "control_plane": context.control_plane_url,
        "key": "set" if context.api_key else None,
        "model": context.model,
        "litellm": str(proxy.config_file or "inline") if proxy and proxy.enabled else None,
    }
