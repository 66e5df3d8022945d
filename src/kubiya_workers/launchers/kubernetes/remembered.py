"""Where a queue's workers were installed from here: a file of this machine's home, there until they are uninstalled.

Reading it costs nothing: where there is none, no cluster is asked, nor its client loaded.
"""

import contextlib
import os

from pydantic import ValidationError

from kubiya_workers.contracts.ids import is_safe_name
from kubiya_workers.contracts.pool import InstallationRef
from kubiya_workers.settings.paths import Paths

from ..state import make_private, replace, unwritable


def write(paths: Paths, ref: InstallationRef) -> None:
    """Raises BadSetting where the home cannot be written."""
    path = paths.worker_installation(ref.queue)
    try:
        make_private(path.parent)
        replace(path, ref.model_dump_json())
    except OSError as error:
        raise unwritable(path, error) from error


def read(paths: Paths, queue: str) -> InstallationRef | None:
    """None when the queue's workers were not installed from here."""
    try:
        return InstallationRef.model_validate_json(paths.worker_installation(queue).read_bytes())
    except (OSError, ValidationError):
        return None


def forget(paths: Paths, queue: str) -> None:
    with contextlib.suppress(OSError):
        paths.worker_installation(queue).unlink(missing_ok=True)


def all_(paths: Paths) -> list[InstallationRef]:
    """Those of every queue, by its name."""
    queues: list[str] = []
    with contextlib.suppress(OSError):
        queues = sorted(entry.name for entry in os.scandir(paths.upkeeps) if is_safe_name(entry.name))
    return [ref for queue in queues if (ref := read(paths, queue)) is not None]
