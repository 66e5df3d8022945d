"""From words to a command: click, and the import of only the one module that is needed."""

import io
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

import click

from . import front
from .exit import ReaderLeft, run_to_status
from .table import COMMANDS


class LazyGroup(click.Group):
    """The root: knows its commands by name, and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place[0].partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1)
            meant = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"There is no command '{args[0]}'.{meant}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeft from error

    def get_help(self, ctx: click.Context) -> str:
        return front.help_text()


def _no_command(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        click.echo(front.help_text())


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(front.version_text())
        context.exit()


root = LazyGroup(
    "kubiya",
    callback=click.pass_context(_no_command),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=_version),
    ],
)


def run(words: Sequence[str]) -> int:
    """Run the command that `words` name; its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Models and tools may say what a terminal's encoding cannot: a "?" is better than a crash.
            stream.reconfigure(errors="replace")
    return run_to_status(root, words)
