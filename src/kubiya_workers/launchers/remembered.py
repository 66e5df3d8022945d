"""What a queue's workers are in, where they are no processes of this machine: a file of its home that names it.

Reading it costs nothing: where there is none, neither Docker nor a cluster is asked, nor their clients loaded.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from kubiya_workers.contracts.ids import is_safe_name
from kubiya_workers.contracts.wire import Wire
from kubiya_workers.settings.paths import Paths

from .state import make_private, replace, unwritable

R = TypeVar("R", bound=Wire)


class Remembered(Generic[R]):
    """The files of one kind, one a queue: `at` says where."""

    def __init__(self, kind: type[R], at: Callable[[Paths, str], Path]) -> None:
        self._kind = kind
        self._at = at

    def write(self, paths: Paths, queue: str, ref: R) -> None:
        """Raises BadSetting where the home cannot be written."""
        path = self._at(paths, queue)
        try:
            make_private(path.parent)
            replace(path, ref.model_dump_json())
        except OSError as error:
            raise unwritable(path, error) from error

    def read(self, paths: Paths, queue: str) -> R | None:
        """None when there is none of the queue."""
        try:
            return self._kind.model_validate_json(self._at(paths, queue).read_bytes())
        except (OSError, ValidationError):
            return None

    def forget(self, paths: Paths, queue: str) -> None:
        with contextlib.suppress(OSError):
            self._at(paths, queue).unlink(missing_ok=True)

    def all_(self, paths: Paths) -> dict[str, R]:
        """Those of every queue, by its name."""
        queues: list[str] = []
        with contextlib.suppress(OSError):
            queues = sorted(entry.name for entry in os.scandir(paths.upkeeps) if is_safe_name(entry.name))
        return {queue: ref for queue in queues if (ref := self.read(paths, queue)) is not None}
