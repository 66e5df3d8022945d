"""Log lines: one record, one line, redacted, the same for our own code and for the libraries we use.

    2026-01-01T12:00:00.123Z [INFO] Connected to Temporal: host=127.0.0.1:7233, namespace=default

Any module says `log = logs.get(__name__)` and `log.info("Connected to Temporal", host=host)`; a process entry calls
`configure` once. It stands on the standard library alone: a logging library that draws on a terminal library would
cost every process 0.2 s of its start.
"""

import json
import logging
import os
import re
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from .redaction import Redactor

_OURS = "kubiya_workers"
_LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}
_WORDS = {number: word for word, number in _LEVELS.items()} | {logging.CRITICAL: "ERROR"}
_FIELDS = "kubiya_fields"
_NEEDS_QUOTES = re.compile(r'[\s,="\\\x00-\x1f\x7f-\x9f]|^$')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Log:
    """Says things with fields. Messages are sentences without values; values are fields, and become `key=value`."""

    __slots__ = ("_bound", "_logger")

    def __init__(self, logger: logging.Logger, bound: dict[str, Any]) -> None:
        self._logger = logger
        self._bound = bound

    def bind(self, **fields: Any) -> "Log":
        """A log that says these fields with every record."""
        return Log(self._logger, self._bound | fields)

    def debug(self, message: str, **fields: Any) -> None:
        self._say(logging.DEBUG, message, fields)

    def info(self, message: str, **fields: Any) -> None:
        self._say(logging.INFO, message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        self._say(logging.WARNING, message, fields)

    def error(self, message: str, error: BaseException | None = None, **fields: Any) -> None:
        """One line; the stack of `error` follows only at DEBUG."""
        self._say(logging.ERROR, message, fields, error)

    def _say(self, level: int, message: str, fields: dict[str, Any], error: BaseException | None = None) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", message, exc_info=error, extra={_FIELDS: self._bound | fields})


def get(name: str) -> Log:
    """The log of a module, by its `__name__`. Costs nothing, and works before `configure`."""
    ours = name == _OURS or name.startswith(f"{_OURS}.")  # a process entry is called `__main__`
    return Log(logging.getLogger(name if ours else f"{_OURS}.{name}"), {})


def configure(
    level: str, fmt: str, stream: TextIO, redactor: Redactor | None = None, *, fallback: Path | None = None
) -> None:
    """Log to `stream`, or into the file `fallback` from when nobody reads the stream any more (appended, mode 0600).

    `level` is DEBUG, INFO, WARN or ERROR and holds for our own code; libraries are heard from WARN on. `fmt` is text
    or json. A second call replaces the first.
    """
    formatter = _Formatter(fmt, redactor or Redactor(()), stacks=level == "DEBUG")
    close()
    root, handler = logging.getLogger(), _Handler(stream, fallback)
    handler.setFormatter(formatter)
    root.addHandler(handler)
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    logging.getLogger(_OURS).setLevel(_LEVELS[level])
    # A log that cannot be written (a closed terminal, a full disk) must not disturb the work.
    logging.raiseExceptions = False


def add_secrets(*values: str) -> None:
    """Redact these values too from here on, such as a token that was only now handed over."""
    for formatter in {handler.formatter for handler in _handlers()}:
        if isinstance(formatter, _Formatter):
            formatter.redactor = formatter.redactor.also(values)


def flush() -> None:
    """Write out what is buffered."""
    for handler in _handlers():
        handler.flush()


def close() -> None:
    """Stop logging through what `configure` set up."""
    for handler in _handlers():
        logging.getLogger().removeHandler(handler)
        handler.close()


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, to be told from handlers that others installed."""

    def __init__(self, stream: TextIO, fallback: Path | None) -> None:
        super().__init__(stream)
        self._fallback = fallback
        self._file: TextIO | None = None

    def handleError(self, record: logging.LogRecord) -> None:
        """Say it again in the file, when whoever read the stream is gone."""
        path, self._fallback = self._fallback, None
        if path is None or not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)
            return
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return
        self.stream = self._file = os.fdopen(descriptor, "a", encoding="utf-8", errors="replace")
        self.emit(record)

    def close(self) -> None:
        super().close()
        if self._file is not None:
            self._file.close()


def _handlers() -> list[_Handler]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, _Handler)]


class _Formatter(logging.Formatter):
    def __init__(self, fmt: str, redactor: Redactor, *, stacks: bool) -> None:
        super().__init__()
        self.redactor = redactor
        self._line = _json_line if fmt == "json" else _text_line
        self._stacks = stacks

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = dict(getattr(record, _FIELDS, {}))
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            fields.setdefault("error", f"{type(error).__name__}: {error}".removesuffix(": "))
        stack = "".join(traceback.format_exception(error)) if error is not None and self._stacks else ""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        level = _WORDS.get(record.levelno) or record.levelname
        return self.redactor.text(self._line(moment, level, record.getMessage(), fields, stack))


def _text_line(moment: str, level: str, message: str, fields: dict[str, Any], stack: str) -> str:
    pairs = ", ".join(f"{name}={_shown(value)}" for name, value in fields.items())
    line = f"{moment} [{level}] {_one_line(message)}" + (f": {pairs}" if pairs else "")
    return f"{line}\n{stack.rstrip()}" if stack else line


def _json_line(moment: str, level: str, message: str, fields: dict[str, Any], stack: str) -> str:
    content = {"timestamp": moment, "level": level, "message": message} | fields | ({"stack": stack} if stack else {})
    return json.dumps(content, default=str, ensure_ascii=False)


def _shown(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if _NEEDS_QUOTES.search(text) else text


def _one_line(text: str) -> str:
    """Text that cannot begin a line of its own or move a terminal's cursor."""
    return _CONTROL.sub(lambda found: repr(found.group())[1:-1], text)
