"""What is said of a kept LiteLLM, and what people want of it: two files in the directory of whoever keeps it.

Its owner writes the record at each change. The wish that it be stopped is a file beside that, which the owner looks
for; it lasts until somebody wants it started, or until its owner ends: one that is started anew runs.
"""

from pathlib import Path

from pydantic import ValidationError

from kubiya_workers.contracts.console import ProxyRecord
from kubiya_workers.settings.paths import PROXY_RECORD, PROXY_STOP

from ..state import make_private, replace, unwritable


def say(directory: Path, record: ProxyRecord) -> None:
    """Raises OSError when the disk does not take it."""
    replace(directory / PROXY_RECORD, record.model_dump_json())


def read(directory: Path) -> ProxyRecord | None:
    """What was said last; None when there is nothing, or nothing that can be understood."""
    try:
        return ProxyRecord.model_validate_json((directory / PROXY_RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def want(directory: Path, *, stopped: bool) -> None:
    """Wish that it be stopped, or no longer so.

    Raises:
        BadSetting: the home cannot be written.
    """
    file = directory / PROXY_STOP
    try:
        make_private(directory)
        if stopped:
            file.touch(mode=0o600)
        else:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(file, error) from error


def is_to_stop(directory: Path) -> bool:
    return (directory / PROXY_STOP).exists()


def forget(directory: Path) -> None:
    """It is over, and so is what was wanted of it."""
    for name in (PROXY_RECORD, PROXY_STOP):
        try:
            (directory / name).unlink(missing_ok=True)
        except OSError:  # a record whose owner is gone says so to who reads it
            continue
