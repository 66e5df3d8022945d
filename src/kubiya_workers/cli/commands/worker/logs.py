"""`kubiya worker logs`."""

import re
import sys
from collections.abc import Callable, Iterator
from datetime import datetime

import click

from kubiya_workers.launchers.docker import remembered
from kubiya_workers.launchers.upkeep import daemon
from kubiya_workers.launchers.upkeep.reader import LEVELS, Wanted, read
from kubiya_workers.settings.paths import Paths

from ... import talk
from ...connect import settings
from ...exit import Exit, Failed
from ...render.neutral import neutral
from ..words import moment
from . import in_docker, in_kubernetes
from .placing import Place, place_options
from .words import queue_option

_COLOURS = {"WARN": "yellow", "ERROR": "red", "DEBUG": "bright_black"}
_LEVEL = re.compile(r"\[(WARN|ERROR|DEBUG)\] ")


def _pattern(_: click.Context, __: click.Parameter, word: str | None) -> re.Pattern[str] | None:
    try:
        return None if word is None else re.compile(word)
    except re.error as error:
        raise click.BadParameter(f"{word!r} is no regular expression: {error}.") from None


@click.command()
@queue_option
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from here on.")
@click.option("--tail", type=click.IntRange(0), help="Begin with the last N records that match.")
@click.option("--since", callback=moment, help="Only what is newer: 10m, 2h, or a moment (RFC 3339).")
@click.option(
    "--level",
    type=click.Choice(["DEBUG", "INFO", "WARN", "ERROR"], case_sensitive=False),
    help="Only what is at least as loud.",
)
@click.option("--grep", callback=_pattern, help="Only records in which this regular expression is found.")
@place_options
def logs(
    queue: str,
    place: Place,
    follow: bool,
    tail: int | None,
    since: datetime | None,
    level: str | None,
    grep: re.Pattern[str] | None,
) -> int:
    """Show the log of a queue's worker on this machine, its rotated files included, or of its pods in a cluster.

    Pods are read when they were installed from here and no worker of the queue runs here, or when their place is said;
    the end of its pod's name stands before each record.

    \b
    kubiya worker logs --queue-id=my-queue --follow --tail=20
    kubiya worker logs --queue-id=my-queue --since=10m --level=WARN --grep='time.?out'
    """
    wanted = Wanted(since, LEVELS[level] if level else 0, grep)
    shown = _coloured if talk.colours(sys.stdout.isatty()) else _plain
    try:
        for record in _records(settings().paths, queue, place, wanted, tail, follow):
            _show(record, shown, at_once=follow)
    except FileNotFoundError:
        raise Failed(
            f"there is no log of a worker of queue {queue} on this machine",
            fix=f"kubiya worker start --queue-id={queue} --type=local",
        ) from None
    return Exit.DONE


def _records(
    paths: Paths, queue: str, place: Place, wanted: Wanted, tail: int | None, follow: bool
) -> Iterator[list[str]]:
    here = daemon.settle(paths, queue)
    if place.is_said or here is None or here.state.is_over:
        installed = place.of(paths, queue)
        if installed is not None:
            return in_kubernetes.log(installed, wanted, tail=tail, follow=follow)
    container = remembered.read(paths, queue)
    if container is not None:
        return in_docker.log(container, wanted, tail=tail, follow=follow)
    return read(paths.worker_log(queue), wanted, tail=tail, follow=follow)


def _show(record: list[str], shown: Callable[[str], str], *, at_once: bool) -> None:
    sys.stdout.write("".join(f"{shown(line)}\n" for line in record))
    if at_once:
        sys.stdout.flush()


def _plain(line: str) -> str:
    return neutral(line)


def _coloured(line: str) -> str:
    return _LEVEL.sub(lambda found: click.style(found[0], fg=_COLOURS[found[1]]), neutral(line), count=1)
