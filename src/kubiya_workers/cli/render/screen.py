"""stderr: a live screen for people at a terminal, plain lines for everybody else."""

import re
import sys
from typing import Protocol

import click

from ..talk import colours
from .words import Tone


class Screen(Protocol):
    """Where talk goes. `status` is shown until the next line or status."""

    def line(self, text: str, tone: Tone = "plain") -> None: ...

    def part(self, text: str) -> None:
        """A piece of a line that is still growing."""
        ...

    def status(self, text: str, *, lasting: bool = False) -> None:
        """What is going on; `lasting`: worth a line of its own where there is no live status."""
        ...

    def clear(self) -> None:
        """Take the status away: something else is about to be written."""
        ...


def screen() -> Screen:
    return LiveScreen() if colours(sys.stderr.isatty()) else PlainScreen()


class PlainScreen:
    """One line a statement, no control codes."""

    def __init__(self) -> None:
        self._said = ""

    def line(self, text: str, tone: Tone = "plain") -> None:
        click.echo(text, err=True)

    def part(self, text: str) -> None:
        click.echo(text, err=True, nl=False)

    def status(self, text: str, *, lasting: bool = False) -> None:
        if lasting and text != self._said:
            self._said = text
            click.echo(text, err=True)

    def clear(self) -> None:
        """There is never anything to clear."""


class LiveScreen:
    """Colours, and one line at the bottom that says what is going on and for how long."""

    _STYLES: dict[Tone, str] = {"good": "green", "bad": "red", "warn": "yellow", "plain": "", "dim": "dim"}

    def __init__(self) -> None:
        # Only here: without a terminal, Rich would be loaded for nothing.
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: _Status | None = None

    def line(self, text: str, tone: Tone = "plain") -> None:
        from rich.text import Text

        styled = Text(text)
        if tone in ("good", "bad", "warn"):  # the colour is the mark's: whole coloured lines are hard to read
            styled.stylize(self._STYLES[tone], *_mark_in(text))
        else:
            styled.stylize(self._STYLES[tone])
        self.clear()
        self._console.print(styled)

    def part(self, text: str) -> None:
        from rich.text import Text

        self.clear()
        self._console.print(Text(text, "dim"), end="")

    def status(self, text: str, *, lasting: bool = False) -> None:
        if self._status is None:
            self._status = _Status(self._console, text)
        else:
            self._status.say(text)

    def clear(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


def _mark_in(text: str) -> tuple[int, int]:
    """Where the mark of a line is: before it may stand a name."""
    found = re.search(r"(?<!\S)[^\w\s](?!\S)", text) or re.match(r"\S*", text)
    assert found is not None  # the second one always fits
    return found.span()


class _Status:
    """A spinner, what it waits for, and since when."""

    def __init__(self, console: object, text: str) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        assert isinstance(console, Console)
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task(text, total=None)
        self._progress.start()

    def say(self, text: str) -> None:
        self._progress.reset(self._task, description=text)

    def stop(self) -> None:
        self._progress.stop()
