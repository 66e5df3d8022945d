"""The log of a worker in the foreground: on the terminal as it comes, and in a file beside it."""

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import TextIO

import click

from kubiya_workers.launchers.state import make_private
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting

from .render.neutral import neutral

_LIMIT = 16 * 1024 * 1024
"""Bytes after which a log is set aside at the next start; the one before it is dropped."""


def path_of(paths: Paths, queue: str) -> Path:
    return paths.worker(queue) / "logs" / "worker.log"


class WorkerLog:
    """Used as a context. A full disk or a terminal that went away must not take the worker with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None

    def __enter__(self) -> "WorkerLog":
        try:
            make_private(self.path.parent)
            if self.path.exists() and self.path.stat().st_size > _LIMIT:
                self.path.replace(self.path.with_name(self.path.name + ".1"))
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise BadSetting(f"{self.path} cannot be written: {error.strerror}; set KUBIYA_HOME elsewhere") from error
        self._file = os.fdopen(descriptor, "a", buffering=1, encoding="utf-8", errors="replace")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()

    def line(self, text: str) -> None:
        safe = neutral(text)
        with contextlib.suppress(OSError):
            click.echo(safe)
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.write(safe + "\n")
