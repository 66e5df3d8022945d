"""`--limit` and `--skip` of the commands that list."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def paged(command: F) -> F:
    """Gives the command `skip` and `limit`."""
    most = click.IntRange(1, 1000)
    limit = click.option("--limit", type=most, default=100, show_default=True, help="At most so many.")
    skip = click.option("--skip", type=click.IntRange(min=0), default=0, help="Leave out the first ones.")
    return limit(skip(command))
