"""The wish that a queue's worker takes nothing: a file, so that it outlives the worker and needs no connection."""

import json
from datetime import UTC, datetime

from pydantic import ValidationError

from kubiya_workers.contracts.pool import Pause
from kubiya_workers.settings.paths import Paths

from ..state import make_private, replace, unwritable


def write(paths: Paths, queue: str, pause: Pause) -> None:
    """Raises BadSetting where the home cannot be written."""
    path = paths.pause(queue)
    try:
        make_private(path.parent)
        replace(path, pause.model_dump_json())
    except OSError as error:
        raise unwritable(path, error) from error


def remove(paths: Paths, queue: str) -> bool:
    """Whether there was one.

    Raises:
        BadSetting: the home cannot be written.
    """
    try:
        paths.pause(queue).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unwritable(paths.pause(queue), error) from error
    return True


def read(paths: Paths, queue: str, now: datetime | None = None) -> Pause | None:
    """The pause that holds now; None when there is none, it is over, or the file cannot be understood."""
    try:
        pause = Pause.model_validate(json.loads(paths.pause(queue).read_bytes()))
    except (OSError, ValueError, ValidationError):
        return None
    over = pause.until is not None and pause.until <= (now or datetime.now(UTC))
    return None if over else pause
