"""Which container has a queue's worker: a file of this machine's home, there until `kubiya worker clean`.

Reading it costs nothing: where there is none, Docker is not asked, nor its SDK loaded.
"""

import contextlib
import os

from pydantic import ValidationError

from kubiya_workers.contracts.ids import is_safe_name
from kubiya_workers.contracts.pool import ContainerRef
from kubiya_workers.settings.paths import Paths

from ..state import make_private, replace, unwritable


def write(paths: Paths, queue: str, ref: ContainerRef) -> None:
    """Raises BadSetting where the home cannot be written."""
    path = paths.worker_container(queue)
    try:
        make_private(path.parent)
        replace(path, ref.model_dump_json())
    except OSError as error:
        raise unwritable(path, error) from error


def read(paths: Paths, queue: str) -> ContainerRef | None:
    """None when the queue's worker was never in a container, or that was cleaned."""
    try:
        return ContainerRef.model_validate_json(paths.worker_container(queue).read_bytes())
    except (OSError, ValidationError):
        return None


def forget(paths: Paths, queue: str) -> None:
    with contextlib.suppress(OSError):
        paths.worker_container(queue).unlink(missing_ok=True)


def all_(paths: Paths) -> dict[str, ContainerRef]:
    """Those of every queue, by its name."""
    queues: list[str] = []
    with contextlib.suppress(OSError):
        queues = sorted(entry.name for entry in os.scandir(paths.upkeeps) if is_safe_name(entry.name))
    return {queue: ref for queue in queues if (ref := read(paths, queue)) is not None}
