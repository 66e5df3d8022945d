"""Where the lines of a kept worker and of its keeper go: into the rotated log and, in the foreground, to a terminal."""

import io
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TextIO, cast

from kubiya_workers.observability import logs
from kubiya_workers.observability.redaction import Redactor
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import Source

from ..spec import LocalWorker
from ..state import make_private, unwritable
from .rotation import LogLimits, RotatingLog

log = logs.get(__name__)

Echo = Callable[[bytes], None]


class Output:
    """Takes whole lines, without the worker's key: the worker redacts its own lines, but a native crash, or a stack
    trace from before it could, does not."""

    def __init__(self, file: RotatingLog, key: str, echo: Echo | None) -> None:
        self.file = file
        self._key = key.encode()
        self._redactor = Redactor([key])
        self._echo = echo

    def write(self, lines: bytes) -> None:
        if self._key and self._key in lines:
            lines = self._redactor.text(lines.decode(errors="replace")).encode()
        self.file.write(lines)
        if self._echo is not None:
            self._echo(lines)


@contextmanager
def opened(
    paths: Paths, spec: LocalWorker, limits: LogLimits, echo: Echo | None = None
) -> Generator[Output, None, None]:
    """The output of a queue's worker; what this process logs goes there too until the context ends.

    Raises:
        BadSetting: the log cannot be written.
    """
    path, source = paths.worker_log(spec.queue), Source.of_process()
    try:
        make_private(path.parent)
        file = RotatingLog(path, limits, on_gap=_tell_of_gap)
    except OSError as error:
        raise unwritable(path, error) from error
    output = Output(file, spec.key, echo)
    level = "DEBUG" if source.get(v.KUBIYA_DEBUG) else source.get(v.LOG_LEVEL)
    logs.configure(level, source.get(v.LOG_FORMAT), cast("TextIO", _Stream(output)))
    try:
        yield output
    finally:
        logs.close()
        file.close()


def _tell_of_gap(count: int, reason: str) -> None:
    log.warning("Log lines are missing here", count=count, reason=reason)


class _Stream(io.TextIOBase):
    """As the logging library wants it: it writes a record at a time."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def write(self, text: str, /) -> int:
        self._output.write(text.encode(errors="replace"))
        return len(text)
