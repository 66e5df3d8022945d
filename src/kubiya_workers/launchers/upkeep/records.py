"""What is known on this machine of kept workers: written by their keepers, read by everybody.

A record is what a keeper said last. Keepers are killed, so what is read is corrected by what the kernel says of the
processes that the record names.
"""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import ValidationError

from kubiya_workers.contracts.ids import is_safe_name
from kubiya_workers.contracts.pool import Mode, ProcessRef, Record, UpkeepState
from kubiya_workers.settings.paths import Paths

from ..guard import is_running
from ..state import make_private, replace

_ABOUT = "# The worker of this queue, kept by a supervisor. Written by it at each change, and every few seconds."


def write(paths: Paths, record: Record) -> None:
    """Say how it is, in one step: readers see all of it or what was before.

    Raises:
        OSError: the disk does not take it.
    """
    make_private(paths.upkeep(record.queue))
    replace(paths.worker_record(record.queue), record.model_dump_json())
    if record.mode is Mode.DAEMON:
        make_private(paths.worker(record.queue))
        replace(paths.daemon_info(record.queue), described(record))
    else:
        # What an earlier supervisor said is no longer so.
        paths.daemon_info(record.queue).unlink(missing_ok=True)


def read(paths: Paths, queue: str) -> Record | None:
    """What is true of the queue's worker now; None when none was ever kept here, or its record is unreadable."""
    record = stored(paths, queue)
    if record is None:
        return None
    return corrected(record, supervisor=is_alive(record.supervisor), worker=is_alive(record.worker))


def stored(paths: Paths, queue: str) -> Record | None:
    """What the queue's keeper said last."""
    try:
        return Record.model_validate_json(paths.worker_record(queue).read_bytes())
    except (OSError, ValidationError):
        return None


def all_(paths: Paths) -> list[Record]:
    """Those of every queue, by its name."""
    return [record for queue in _queues(paths) if (record := read(paths, queue)) is not None]


def is_alive(process: ProcessRef | None) -> bool:
    return process is not None and is_running(process.pid, process.start)


def corrected(record: Record, *, supervisor: bool, worker: bool) -> Record:
    """The record with what it cannot know: whether the processes that it names still live."""
    if record.state.is_over or (supervisor and (worker or record.state is not UpkeepState.RUNNING)):
        return record
    if supervisor:
        # It has not noticed yet.
        return record.model_copy(update={"state": UpkeepState.RESTARTING, "reason": "its process has just ended"})
    keeper = "supervisor" if record.mode is Mode.DAEMON else "command"
    gone = f"its {keeper} (PID {record.supervisor.pid}) was killed"
    state, reason = (UpkeepState.STOPPING, f"{gone}; it drains") if worker else (UpkeepState.STOPPED, gone)
    return record.model_copy(update={"state": state, "reason": reason, "next_start_at": None})


def described(record: Record) -> str:
    """`daemon_info.txt`: a `key: value` line each, for people and scripts."""
    return "\n".join((_ABOUT, *(f"{name}: {_shown(value)}" for name, value in _facts(record)), ""))


def _facts(record: Record) -> Iterator[tuple[str, object]]:
    last, keeper, worker = record.last_restart, record.supervisor, record.worker
    yield "queue", record.queue
    yield "state", record.state
    yield "reason", record.reason
    yield "pid", worker.pid if worker else None
    yield "supervisor_pid", keeper.pid
    yield "mode", record.mode
    yield "version", record.version
    yield "started_at", record.started_at
    yield "worker_started_at", record.worker_started_at
    yield "restarts", record.restarts
    yield "crashes_in_a_row", record.crashes_in_a_row
    yield "last_restart_at", last.at if last else None
    yield "last_restart_reason", last.reason if last else None
    yield "next_start_at", record.next_start_at
    yield "worker_id", record.worker_id
    yield "health", record.health
    yield "control_plane_url", record.control_plane_url
    yield "log", record.log
    yield "updated_at", datetime.now(UTC)


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return "-" if value is None else " ".join(str(value).split())


def _queues(paths: Paths) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(entry.name for entry in os.scandir(paths.upkeeps) if is_safe_name(entry.name))
    return []
