"""`kubiya config`."""

import re
from collections.abc import Mapping

import click

from kubiya_workers.settings import contexts, variables
from kubiya_workers.settings.source import BadSetting, Source, Variable

from ..output import Format, output_option, show_plain, table
from . import contexts as context_commands

_PROXIES = (variables.HTTP_PROXY, variables.HTTPS_PROXY, variables.ALL_PROXY)
_IN_EITHER_CASE = (*_PROXIES, variables.NO_PROXY)
_CREDENTIALS = re.compile(r"//[^/]*@")
_MASK = "***"


@click.group("config")
def group() -> None:
    """Which settings are in force and where from, and control planes by name.

    \b
    kubiya config show
    kubiya config set-context acme --url https://kubiya.acme.example --api-key-stdin
    kubiya config use-context acme
    """


for command in context_commands.COMMANDS:
    group.add_command(command)


@group.command("show")
@output_option
def show(output: Format) -> int:
    """Show every setting: its value, where it comes from, what it is for. Secrets are masked.

    A value that cannot be used is shown as such, and the exit status is 6.
    """
    source = Source.of_process()
    found = contexts.in_force(source)
    name, values = (found[0], found[1].values(source)) if found else ("", {})
    rows = [_row(variable, source, name, values) for variable in variables.ALL]
    lines = table(("SETTING", "VALUE", "FROM", "MEANING"), [tuple(row.values()) for row in rows])
    show_plain(rows, output, lines)
    return 6 if any(row["from"] == "invalid" for row in rows) else 0


def _row(variable: variables.AnyVariable, source: Source, context: str, values: Mapping[str, str]) -> dict[str, str]:
    value, origin = _in_force(variable, source)
    if origin == "default" and variable.name in values:
        value, origin = _shown(variable, values[variable.name], values[variable.name]), f"context {context}"
    return {"setting": variable.name, "value": value or "(unset)", "from": origin, "meaning": variable.meaning}


def _in_force(variable: variables.AnyVariable, source: Source) -> tuple[str, str]:
    """The value as it may be shown, and where it comes from."""
    name = _name_used(variable, source)
    text = source.text_of(name)
    if not text:
        return variable.shown_default or str(variable.default), "default"
    try:
        value = source.get(_named(variable, name))
    except BadSetting as error:
        return str(error), "invalid"
    if not source.environ.get(name, "").strip():
        return _shown(variable, text, str(value)), "saved"
    return _shown(variable, text, str(value)), "environment" if name == variable.name else f"environment ({name})"


def _shown(variable: variables.AnyVariable, text: str, value: str) -> str:
    if variable in _PROXIES:
        return _CREDENTIALS.sub(f"//{_MASK}@", text)
    return _MASK if variable.secret else value


def _name_used(variable: variables.AnyVariable, source: Source) -> str:
    """A proxy's variable in lower case wins, as it does for other programs."""
    lower = variable.name.lower()
    return lower if variable in _IN_EITHER_CASE and source.environ.get(lower, "").strip() else variable.name


def _named(variable: variables.AnyVariable, name: str) -> Variable[str | int | float | bool]:
    return Variable(name, variable.meaning, variable.default, variable.parse, secret=variable.secret)
