"""The program that a queue's worker runs: a short `worker.py` in the queue's directory."""

import os
from pathlib import Path

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.ids import NAME_RULE, is_safe_name
from kubiya_workers.settings.paths import Paths

from .state import make_private, unwritable

_LAUNCHER = """\
\"\"\"Starts the worker of this directory's queue; what it needs to know is in its environment.\"\"\"
import sys

sys.path.pop(0)  # this directory is the worker's own: nothing in it is a module

from kubiya_workers.worker.__main__ import main

main()
"""


def written(paths: Paths, queue: str) -> Path:
    """`worker.py`, made or renewed.

    Raises:
        Invalid: the queue's name cannot be a directory's.
        BadSetting: the directory cannot be written.
    """
    if not is_safe_name(queue):
        raise Invalid(f"{queue!r} cannot name a queue: {NAME_RULE}")
    script = paths.worker_script(queue)
    try:
        make_private(script.parent)
        if not script.exists() or script.read_text() != _LAUNCHER:
            fresh = script.with_name(f".worker.{os.getpid()}.py")
            fresh.touch(mode=0o600)
            fresh.write_text(_LAUNCHER)
            fresh.replace(script)
    except OSError as error:
        raise unwritable(script, error) from error
    return script
