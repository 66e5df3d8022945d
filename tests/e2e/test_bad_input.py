"""What people get wrong: a sentence that names it, the next step, the right exit status, and nothing half-done."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .machine import KUBIYA, Machine, served


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which somebody has started the server."""
    with served(tmp_path_factory.mktemp("served")) as machine:
        yield machine


def refused(done: subprocess.CompletedProcess[str], status: int, *named: str) -> None:
    """The status, every word on stderr, a next step, and neither data nor a stack trace."""
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    for word in named:
        assert word in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) >= 2 or ";" in done.stderr, f"no next step: {done.stderr}"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("exec", "--bogus", "hello"), ("--bogus", "kubiya exec --help")),
        (("agent", "list", "--bogus"), ("--bogus", "kubiya agent list --help")),
        (("exce", "hello"), ("'exce'", "'exec'")),
        (("agent", "lst"), ("'lst'", "list")),
        (("exec", "--local", "--yes", ""), ("empty",)),
        (("exec", "--local", "--yes", " \n "), ("empty",)),
        (("exec", "--local", "--yes"), ("empty",)),
        (("worker", "start", "--queue-id", "../../x"), ("../../x", "letters")),
        (("worker", "start", "--queue-id="), ("--queue-id",)),
        (("queue", "create", "../../x"), ("../../x", "letters")),
        (("exec", "--queue", "../../x", "--yes", "hello"), ("../../x", "letters")),
        (("exec", "--local", "--yes", "--no-such word"), ("--no-such", "--")),
        (("exec", "--local", "hello", "-o", "xml", "--yes"), ("xml", "json")),
        (("exec", "--local", "--yes", "--env", "NOVALUE", "hello"), ("NOVALUE", "NAME=VALUE")),
        (("exec", "--local", "--yes", "--secret", "NOT_SET_HERE", "hello"), ("NOT_SET_HERE",)),
        (("server", "start", "--port", "70000"), ("70000",)),
        (("agent", "create", "--name", "x", "--config", "{not json"), ("--config", "JSON")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_usage_starts_nothing(machine: Machine, words: tuple[str, ...], named: tuple[str, ...]) -> None:
    refused(machine.run(*words, stdin=""), 2, *named)
    assert list(machine.home.iterdir()) == []
    assert machine.processes() == []


def test_a_prompt_that_begins_with_dashes(running: Machine) -> None:
    refused(running.run("exec", "--local", "--yes", "--flag-like"), 2, "--flag-like", "`--`")
    done = running.run("exec", "--local", "--yes", "--", "--flag-like `echo fine`")
    assert done.returncode == 0, done.stderr
    assert "\nfine\n" in done.stdout


def test_what_does_not_exist(running: Machine) -> None:
    before = running.json("execution", "list"), running.json("queue", "list")
    refused(running.run("exec", "--local", "--yes", "--agent", "nobody", "hello"), 4, "nobody", "kubiya agent list")
    refused(running.run("exec", "--yes", "--queue", "nowhere", "hello"), 4, "nowhere", "worker start")
    refused(running.run("agent", "get", "nobody"), 4, "nobody")
    refused(running.run("execution", "get", "no-such-run"), 4, "no-such-run")
    refused(running.run("execution", "logs", "no-such-run"), 4, "no-such-run")
    refused(running.run("queue", "delete", "nowhere", "--yes"), 4, "nowhere")
    assert (running.json("execution", "list"), running.json("queue", "list")) == before


def test_keys(running: Machine) -> None:
    url = running.json("server", "status")["url"]  # type: ignore[index]
    wrong = {"CONTROL_PLANE_URL": url, "KUBIYA_API_KEY": "kbw_wrong-and-secret"}
    for words in (("agent", "list"), ("exec", "--local", "--yes", "hello"), ("worker", "start", "--queue-id", "q")):
        done = running.run(*words, env=wrong)
        if words[0] == "worker":  # its log is what it prints
            assert done.returncode == 3, done.stdout + done.stderr
            assert "not known" in done.stdout + done.stderr
        else:
            refused(done, 3, "key", "KUBIYA_API_KEY")
        assert "kbw_wrong-and-secret" not in done.stdout + done.stderr
    refused(running.run("agent", "list", env={"CONTROL_PLANE_URL": url}), 3, url, "KUBIYA_API_KEY")
    refused(running.run("agent", "list", env={**wrong, "KUBIYA_API_KEY": "kluč\n"}), 3, "KUBIYA_API_KEY")
    assert not running.workers()


@pytest.mark.parametrize(
    ("url", "status", "named"),
    [
        ("http://127.0.0.1:1", 5, "http://127.0.0.1:1"),
        ("http://no-such-host.invalid", 5, "no-such-host.invalid"),
        ("not-a-url", 6, "CONTROL_PLANE_URL"),
        ("ftp://somewhere", 6, "CONTROL_PLANE_URL"),
        ("http://127.0.0.1:99999", 5, "99999"),
    ],
)
def test_addresses(machine: Machine, url: str, status: int, named: str) -> None:
    refused(machine.run("agent", "list", env={"CONTROL_PLANE_URL": url, "KUBIYA_API_KEY": "k"}), status, named)
    assert machine.processes() == []


def test_a_port_in_use(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused(machine.run("server", "start", "--port", port), 6, port, "in use")
        refused(machine.run("agent", "list", env={"KUBIYA_SERVER_PORT": port}), 6, port, "in use")
    machine.assert_nothing_left()
    assert not (machine.home / ".kubiya/server/server.json").exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("HEARTBEAT_INTERVAL", "5", ("worker", "start", "--queue-id", "q")),
        ("HEARTBEAT_INTERVAL", "5", ("exec", "--local", "--yes", "Run `true`")),
        ("KUBIYA_SERVER_PORT", "high", ("server", "start")),
        ("KUBIYA_LLM_BASE_URL", "nonsense", ("agent", "list")),
        ("LOG_LEVEL", "LOUD", ("server", "start")),
    ],
)
def test_settings_out_of_bounds(machine: Machine, name: str, value: str, words: tuple[str, ...]) -> None:
    done = machine.run(*words, env={name: value})
    assert done.returncode == 6, (done.returncode, done.stdout, done.stderr)
    said = done.stdout + done.stderr
    assert f"{name}={value!r}" in said
    assert "must be" in said
    assert "Traceback" not in said
    machine.assert_nothing_left()


def test_settings_are_shown_with_what_is_wrong(machine: Machine) -> None:
    done = machine.run("config", "show", env={"HEARTBEAT_INTERVAL": "5"})
    assert done.returncode == 6
    assert "from 15 to 300" in done.stdout


def test_bytes_that_are_no_text(running: Machine) -> None:
    """Invalid UTF-8 in an argument and on stdin: replaced, never a crash."""
    for words, stdin in (([b"Run `echo a\xffb`"], None), ([b"-"], b"\xfe\xff Run `echo a\xffb`")):
        done = subprocess.run(
            [os.fsencode(KUBIYA), b"exec", b"--local", b"--yes", *words],
            cwd=running.work,
            env=running.environ,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert b"exit status: 0" in done.stdout
        done.stdout.decode()
        done.stderr.decode()


@contextmanager
def mounted(at: Path, options: str) -> Iterator[None]:
    """A file system of its own at this place; the test is skipped where that is not allowed."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=False)


@pytest.mark.parametrize("size", ["4k", "256k", "1m"])
def test_a_full_disk(machine: Machine, size: str) -> None:
    with mounted(machine.home, f"size={size}"):
        done = machine.run("exec", "--local", "--yes", "Run `true`")
        assert done.returncode in (5, 6), (done.returncode, done.stderr)
        assert "space" in done.stderr.lower() or "full" in done.stderr.lower(), done.stderr
        assert "Traceback" not in done.stderr
        machine.assert_nothing_left()


def test_a_home_that_cannot_be_written(machine: Machine) -> None:
    with mounted(machine.home, "ro"):
        for words in (("exec", "--local", "--yes", "Run `true`"), ("server", "start"), ("agent", "list")):
            refused(machine.run(*words), 6, str(machine.home), "KUBIYA_HOME")
        machine.assert_nothing_left()


def test_a_home_that_is_a_file(machine: Machine) -> None:
    (machine.home / ".kubiya").write_text("mine")
    refused(machine.run("agent", "list"), 6, ".kubiya", "KUBIYA_HOME")
    assert (machine.home / ".kubiya").read_text() == "mine"
    assert machine.processes() == []
