"""What a queue's worker left on the disk, and its removal."""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kubiya_workers.settings.paths import Paths

from ..state import unwritable


@dataclass(frozen=True)
class Left:
    """A file, a directory or a link, and the bytes in it; a link counts for itself alone."""

    path: Path
    size: int


def of(paths: Paths, queue: str) -> list[Left]:
    """What is there. The lock is not among it: another command may hold it, or be about to."""
    places = (paths.worker(queue), paths.worker_record(queue), paths.worker_container(queue), paths.pause(queue))
    return [Left(path, _size(path)) for path in places if os.path.lexists(path)]


def remove(found: Iterable[Left]) -> None:
    """Remove them; what a link leads to is left alone, wherever the link is.

    Raises:
        BadSetting: one of them cannot be removed.
    """
    for left in found:
        try:
            if left.path.is_dir() and not left.path.is_symlink():
                # It opens each directory by a descriptor, and follows no link, not even one put there meanwhile.
                shutil.rmtree(left.path)
            else:
                left.path.unlink(missing_ok=True)
        except OSError as error:
            raise unwritable(left.path, error) from error


def _size(path: Path) -> int:
    total = path.lstat().st_size
    if path.is_symlink() or not path.is_dir():
        return total
    with suppress(OSError), os.scandir(path) as entries:
        total += sum(_size(Path(entry.path)) for entry in entries)
    return total
