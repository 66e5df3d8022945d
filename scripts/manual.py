"""Writes docs/commands.md and docs/configuration.md from the commands and settings themselves: `make docs`."""

import importlib
import sys
from pathlib import Path

import click

from kubiya_workers.cli.table import COMMANDS
from kubiya_workers.settings import variables

DOCS = Path(__file__).parents[1] / "docs"

EXIT_STATUSES = """## Exit status

| status | meaning |
| --- | --- |
| 0 | done |
| 1 | the execution failed, or a run-time error |
| 2 | wrong usage |
| 3 | authentication: no key, a wrong or revoked one, or not allowed |
| 4 | the API refused: not found, conflict, invalid |
| 5 | network: the control plane, or a part it needs, does not answer |
| 6 | configuration: a setting or a file cannot be used |
| 130 | interrupted |

A failed execution exits 1, whatever the transport did.
"""


def command_of(name: str) -> click.Command:
    module, _, attribute = COMMANDS[name][0].partition(":")
    return getattr(importlib.import_module(module), attribute)


def described(command: click.Command, path: str) -> list[str]:
    """A command's section, and those of its subcommands."""
    context = click.Context(
        command, info_name=path, max_content_width=100, terminal_width=100, help_option_names=["-h", "--help"]
    )
    text = command.get_help(context).rstrip()
    sections = [f"## {path}" if path.count(" ") == 1 else f"### {path}", "", "```", text, "```", ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                sections += described(child, f"{path} {name}")
    return sections


def commands_page() -> str:
    lines = ["# Commands", "", "Written from the commands themselves by `make docs`.", ""]
    for name in COMMANDS:
        lines += described(command_of(name), f"kubiya {name}")
    return "\n".join([*lines, EXIT_STATUSES])


def configuration_page() -> str:
    lines = [
        "# Configuration",
        "",
        "A flag wins over the environment, the environment over what was "
        "[saved](web-interface.md#variables-that-are-saved), that over the [context](contexts.md), and that over the "
        "default. "
        "`kubiya config show` prints each setting "
        "in force and where it came from. A value out of bounds stops the command with exit status 6.",
        "",
        "| variable | default | allowed | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for variable in variables.ALL:
        lines.append(f"| `{variable.name}` | {default_of(variable)} | {allowed(variable)} | {variable.meaning} |")
    return "\n".join([*lines, ""])


def default_of(variable: variables.AnyVariable) -> str:
    """A number whose default is nothing is a limit that is not set."""
    if variable.default is False:
        return "false"
    return variable.shown_default or (str(variable.default) if variable.default else "—")


def allowed(variable: variables.AnyVariable) -> str:
    """The bounds, in the words in which a value beyond them is refused."""
    try:
        variable.parse("\0")
    except ValueError as error:
        return str(error)
    return "any text"


def pages() -> dict[Path, str]:
    return {DOCS / "commands.md": commands_page(), DOCS / "configuration.md": configuration_page()}


def outdated() -> list[str]:
    return [path.name for path, text in pages().items() if not path.exists() or path.read_text() != text]


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(f"outdated: {', '.join(outdated())}; run `make docs`" if outdated() else 0)
    for path, text in pages().items():
        path.write_text(text)
        sys.stdout.write(f"{path.name}\n")
