"""What is said to people: stderr, so that stdout stays data."""

import sys

import click

from .render.neutral import neutral


def say(text: str) -> None:
    """A line of talk. A reader that went away is no reason to fail."""
    try:
        click.echo(text, err=True)
    except OSError:
        return


def note(text: str) -> None:
    """Something that may be overlooked."""
    say(click.style(text, dim=True) if colours(sys.stderr.isatty()) else text)


def error(what: str, fix: str | None) -> None:
    """What went wrong and the next step; the text may come from anywhere, so that it is made harmless."""
    bold = colours(sys.stderr.isatty())
    say((click.style("Error:", fg="red", bold=True) if bold else "Error:") + " " + neutral(what))
    if fix:
        say((click.style("Fix:", fg="yellow") if bold else "Fix:") + " " + neutral(fix))


def colours(terminal: bool) -> bool:
    """Whether to colour what goes to a terminal."""
    from kubiya_workers.settings import variables as v
    from kubiya_workers.settings.source import BadSetting, Source

    try:
        source = Source.of_process()
    except BadSetting:  # this is about to be said
        return False
    return terminal and not source.get(v.NO_COLOR) and source.environ.get("TERM") != "dumb"
