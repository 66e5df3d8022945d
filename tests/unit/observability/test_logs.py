"""One record, one line, the same for all who log."""

import io
import json
import logging
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubiya_workers.observability import logs
from kubiya_workers.observability.redaction import Redactor

log = logs.get("kubiya_workers.worker.example")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    raises = logging.raiseExceptions
    yield io.StringIO()
    logs.close()
    logging.raiseExceptions = raises
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("kubiya_workers").setLevel(logging.NOTSET)


def said(stream: io.StringIO) -> list[str]:
    """The lines, without their times, which are checked."""
    lines = stream.getvalue().splitlines()
    return [STAMP.sub("", line, count=1) for line in lines if STAMP.match(line)] or lines


def test_the_form_of_a_line(stream: io.StringIO) -> None:
    logs.configure("INFO", "text", stream)
    log.info("Connected to Temporal", host="127.0.0.1:7233", namespace="default")
    log.info("Metrics", tasks_completed=42, avg_duration="3.2s", memory_mb=512)
    log.warning("Ready")
    assert said(stream) == [
        "[INFO] Connected to Temporal: host=127.0.0.1:7233, namespace=default",
        "[INFO] Metrics: tasks_completed=42, avg_duration=3.2s, memory_mb=512",
        "[WARN] Ready",
    ]
    assert all(STAMP.match(line) for line in stream.getvalue().splitlines())


def test_values_cannot_begin_lines_or_fields_of_their_own(stream: io.StringIO) -> None:
    logs.configure("INFO", "text", stream)
    log.info("Said\n2026 [ERROR] forged\x1b[2J", text="a\nb, c=d", empty="", quote='"')
    assert said(stream) == [
        '[INFO] Said\\n2026 [ERROR] forged\\x1b[2J: text="a\\nb, c=d", empty="", quote="\\""',
    ]


@pytest.mark.parametrize(("level", "words"), [("DEBUG", 4), ("INFO", 3), ("WARN", 2), ("ERROR", 1)])
def test_levels(stream: io.StringIO, level: str, words: int) -> None:
    logs.configure(level, "text", stream)
    log.debug("x")
    log.info("x")
    log.warning("x")
    log.error("x")
    assert said(stream) == ["[DEBUG] x", "[INFO] x", "[WARN] x", "[ERROR] x"][4 - words :]


def test_libraries_are_heard_from_warnings_on_and_in_the_same_form(stream: io.StringIO) -> None:
    logs.configure("DEBUG", "text", stream)
    for name in ("temporalio.worker", "uvicorn.error", "httpx"):
        logging.getLogger(name).info("not this")
        logging.getLogger(name).warning("this %s", name)
    assert said(stream) == ["[WARN] this temporalio.worker", "[WARN] this uvicorn.error", "[WARN] this httpx"]


def test_json_has_the_same_content(stream: io.StringIO) -> None:
    logs.configure("INFO", "json", stream, Redactor(["top-secret"]))
    log.bind(queue="q").info("Started", path=Path("/x"), count=2, key="top-secret")
    (line,) = stream.getvalue().splitlines()
    content = json.loads(line)
    assert content.pop("timestamp").endswith("Z")
    assert content == {
        "level": "INFO",
        "message": "Started",
        "queue": "q",
        "path": "/x",
        "count": 2,
        "key": "[redacted]",
    }


def test_an_error_is_one_line_and_its_stack_only_for_debugging(stream: io.StringIO) -> None:
    error = ValueError("bad\nvalue")
    logs.configure("INFO", "text", stream)
    log.error("Activity failed", error, step=3)
    assert said(stream) == ['[ERROR] Activity failed: step=3, error="ValueError: bad\\nvalue"']
    logs.configure("DEBUG", "text", stream)
    log.error("Activity failed", error)
    assert stream.getvalue().endswith("ValueError: bad\nvalue\n")


def test_secrets_never_get_out_even_those_that_come_late(stream: io.StringIO) -> None:
    logs.configure("DEBUG", "text", stream, Redactor(["first-secret"]))
    logs.add_secrets("late-secret")
    log.error("With first-secret", ValueError("late-secret"), key="late-secret")
    assert "secret" not in stream.getvalue().replace("[redacted]", "")


def test_without_a_reader_the_lines_go_on_in_a_file_that_is_private(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    logs.configure("INFO", "text", stream, fallback=file)
    log.info("Heard")
    assert b"Heard" in os.read(reading, 1000)
    os.close(reading)
    log.info("First")
    log.info("Second")
    logs.close()
    assert [line.split()[-1] for line in file.read_text().splitlines()] == ["First", "Second"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_closed_stream_disturbs_nobody(stream: io.StringIO) -> None:
    logs.configure("INFO", "text", stream)
    stream.close()
    log.info("Nobody hears this")


def test_importing_costs_no_heavy_library() -> None:
    heavy = "{'structlog', 'rich', 'pydantic', 'asyncio', 'httpx'}"
    program = f"import sys, kubiya_workers.observability.logs; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
