"""The files by which the embedded server of a home and its users know each other."""

import contextlib
import os
import secrets
from pathlib import Path

from pydantic import ValidationError

from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting

from .guard import is_running
from .spec import ServerState

_LOG_LIMIT = 8 * 1024 * 1024


def prepare(paths: Paths) -> None:
    """Make the server's directory, private to the user.

    Raises:
        BadSetting: the home cannot be written.
    """
    try:
        make_private(paths.server)
    except OSError as error:
        raise unwritable(paths.home, error) from error
    if not os.access(paths.server, os.W_OK | os.X_OK):
        raise BadSetting(f"{paths.server} is not writable; set KUBIYA_HOME to a directory that is")


def instance(paths: Paths) -> str:
    """The name of this home's control planes, one after the other, made once.

    Raises:
        BadSetting: the home cannot be written.
    """
    try:
        known = paths.server_instance.read_text().strip() if paths.server_instance.exists() else ""
        if not known:
            known = secrets.token_hex(8)
            replace(paths.server_instance, known + "\n")
    except OSError as error:
        raise unwritable(paths.server_instance, error) from error
    return known


def replace(path: Path, text: str) -> None:
    """Write a file for the user alone, in one step. Raises OSError, and leaves what was before."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise


def make_private(directory: Path) -> None:
    """Make a directory for the user alone, and so each above it that is missing: `mkdir` opens those to everybody.

    Raises:
        OSError: it cannot be made.
    """
    for missing in reversed([path for path in (directory, *directory.parents) if not path.is_dir()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def unwritable(path: Path, error: OSError) -> BadSetting:
    return BadSetting(f"{path} cannot be written: {error.strerror}; set KUBIYA_HOME to a directory that can")


def read(paths: Paths) -> ServerState | None:
    """The running server of this home; None when there is none, or the one that the file tells of is dead."""
    try:
        state = ServerState.model_validate_json(paths.server_state.read_bytes())
    except (OSError, ValidationError):
        return None
    return state if is_running(state.pid, state.process_start) else None


def write(paths: Paths, state: ServerState) -> None:
    """Say that the server is up, in one step: readers see all of it or nothing."""
    replace(paths.server_state, state.model_dump_json())


def clear(paths: Paths) -> None:
    with contextlib.suppress(OSError):
        paths.server_state.unlink(missing_ok=True)


def open_log(log: Path) -> int:
    """A descriptor that appends to a log; one that has grown large is set aside first.

    Raises:
        BadSetting: it cannot be written.
    """
    try:
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_name(log.name + ".1"))
        return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(log, error) from error


def last_lines(log: Path, since: int, count: int = 5) -> str:
    """What was logged after the first `since` bytes: its last lines, joined."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            text = file.read()[-16_384:].decode(errors="replace")
    except OSError:
        return ""
    return " / ".join(line.strip() for line in text.splitlines()[-count:] if line.strip())
