"""How often this worker was started again: its supervisor keeps count, in the record of the queue."""

import os
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from kubiya_workers.contracts.pool import Record


def of_record(path: Path) -> Callable[[], int]:
    """The count in the record at `path` at each call; 0 when nobody keeps this process, or not this one."""

    def restarts() -> int:
        try:
            record = Record.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return 0
        return record.restarts if record.worker is not None and record.worker.pid == os.getpid() else 0

    return restarts
