"""`kubiya exec --local` as a person runs it: from an empty home to the answer, and nothing left behind."""

import json
import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import yaml

from kubiya_workers.testing import Reply, ScriptedModel, error, tool

from .installation import lines
from .machine import KUBIYA, Machine, Spawned, served, until

Start = Callable[..., ScriptedModel]
SLOW = "echo begun >> marks.txt; sleep 61; echo ended >> marks.txt"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine on which somebody has started the server."""
    with served(tmp_path_factory.mktemp("served")) as machine:
        yield machine


def shell(command: str) -> Reply:
    return tool("shell", {"command": command})


def use(machine: Machine, model: ScriptedModel) -> None:
    machine.environ |= {"KUBIYA_LLM_BASE_URL": model.url, "KUBIYA_LLM_MODEL": "scripted"}


def address(machine: Machine) -> tuple[str, int]:
    """Where the machine's control plane listens now."""
    url = urlsplit(json.loads((machine.home / ".kubiya/server/server.json").read_text())["url"])
    assert url.hostname is not None
    assert url.port is not None
    return url.hostname, url.port


def assert_closed(where: tuple[str, int]) -> None:
    with pytest.raises(OSError), socket.create_connection(where, timeout=2):
        pass


def assert_all_is_gone(machine: Machine, seconds: float = 15) -> None:
    """No process, no temporary file, and nobody says that a server runs."""
    until(lambda: not machine.processes(), f"nothing runs in {machine.home}", seconds)
    machine.assert_nothing_left()
    assert not (machine.home / ".kubiya/server/server.json").exists()
    workers = machine.home / ".kubiya/workers"
    assert not workers.exists() or not list(workers.iterdir())


def look_back(machine: Machine) -> tuple[list[dict[str, str]], list[str]]:
    """The executions that are stored, newest first, and the queues' names; the server is started to tell."""
    assert machine.run("server", "start").returncode == 0
    executions, queues = machine.json("execution", "list"), machine.json("queue", "list")
    assert machine.run("server", "stop").returncode == 0
    assert isinstance(executions, list)
    assert isinstance(queues, list)
    return executions, [queue["name"] for queue in queues]


def begun(machine: Machine, run: Spawned) -> None:
    """Wait until the slow tool runs."""

    def marked() -> bool:
        assert run.process.poll() is None, run.said()
        return bool(lines(machine.work / "marks.txt"))

    until(marked, f"the tool runs: {run.said()}", 40)


def test_an_empty_home(machine: Machine) -> None:
    (machine.work / "a-file.txt").write_text("its content\n")
    done = machine.run("exec", "--local", "Run `cat a-file.txt` and `ls -la`", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(offline model)\n$ cat a-file.txt\n")
    assert "its content" in done.stdout
    assert "a-file.txt" in done.stdout.split("$ ls -la")[1]
    assert "✓ shell  cat a-file.txt" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert_all_is_gone(machine)
    executions, queues = look_back(machine)
    assert [run["status"] for run in executions] == ["completed"]
    assert not [name for name in queues if name.startswith("local-")]
    assert_all_is_gone(machine)


def test_a_run_that_fails(machine: Machine, model: Start) -> None:
    use(machine, model(error(400, "this model has had enough")))
    done = machine.run("exec", "--local", "go", "--yes")
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "model_error" in done.stderr
    assert "this model has had enough" in done.stderr
    assert "kubiya execution logs" in done.stderr
    assert "Traceback" not in done.stderr
    assert_all_is_gone(machine)


def test_ctrl_c_while_a_tool_runs(machine: Machine, model: Start) -> None:
    machine.environ["KUBIYA_SERVER_PORT"] = "0"  # one that no other test takes up again
    use(machine, model([shell(SLOW), "never said"]))
    with machine.spawn("exec", "--local", "go", "--yes") as run:
        begun(machine, run)
        where = address(machine)
        assert run.end(signal.SIGINT) == 130
    assert "Cancelled execution" in run.said()
    assert "Traceback" not in run.said()
    assert_all_is_gone(machine)
    assert_closed(where)
    executions, queues = look_back(machine)
    assert [run["status"] for run in executions] == ["cancelled"]
    assert not [name for name in queues if name.startswith("local-")]
    assert lines(machine.work / "marks.txt") == ["begun"]


def test_sigterm_while_a_tool_runs(running: Machine) -> None:
    """On a server that runs: it forgets the worker and its queue, and keeps the cancelled run."""
    with running.spawn("exec", "--local", f"Run `{SLOW}`", "--yes") as run:
        begun(running, run)
        assert run.end(signal.SIGTERM) == 143
    assert "Traceback" not in run.said()
    until(lambda: not running.workers(), "the worker is gone")
    assert not running.running(lambda words: "sleep" in words)
    assert local_queues(running) == []
    (newest, *_) = running.json("execution", "list")  # type: ignore[misc]
    assert newest["status"] == "cancelled"
    assert lines(running.work / "marks.txt") == ["begun"]


def test_ctrl_c_before_anything_is_up(machine: Machine) -> None:
    with machine.spawn("exec", "--local", "Run `true`", "--yes") as run:
        run.until_said("Starting the control plane")
        assert run.end(signal.SIGINT) == 130
    assert "Traceback" not in run.said()
    assert_all_is_gone(machine)


def test_the_command_is_killed(machine: Machine, model: Start) -> None:
    """Nobody is left to clean up, and still everything goes."""
    machine.environ["KUBIYA_SERVER_PORT"] = "0"  # one that no other test takes up again
    use(machine, model([shell(SLOW), "never said"]))
    with machine.spawn("exec", "--local", "go", "--yes") as run:
        begun(machine, run)
        where = address(machine)
        run.process.kill()
        run.process.wait()
        assert_all_is_gone(machine, 20)
    assert_closed(where)
    assert lines(machine.work / "marks.txt") == ["begun"]


def test_its_worker_is_killed(machine: Machine, model: Start) -> None:
    """The run is durable: another worker is started, and goes on where the first one was."""
    use(machine, model([shell("echo once >> marks.txt"), Reply("said at last", delay_s=2), "never said"]))
    with machine.spawn("exec", "--local", "go", "--yes") as run:
        begun(machine, run)
        killed = machine.workers()
        assert len(killed) == 1, killed
        killed[0].kill()
        assert run.process.wait(60) == 0, run.said()
    assert "was killed by signal 9; starting it again" in run.said()
    assert run.out.read_text() == "said at last\n"
    assert lines(machine.work / "marks.txt") == ["once"]
    assert_all_is_gone(machine)


def test_the_forms_of_its_output(running: Machine) -> None:
    """Data alone on stdout; and a server that runs is used, and left alone."""
    (server,) = running.running(lambda words: "kubiya_workers.cli.serve" in words)
    prompt = "Run `echo $((6 * 7))`"
    run = running.json("exec", "--local", prompt, "--yes")
    assert isinstance(run, dict)
    assert (run["status"], run["prompt"]) == ("completed", prompt)
    assert "42" in run["response"]

    done = running.run("exec", "--local", prompt, "--yes", "-o", "yaml")
    assert yaml.safe_load(done.stdout)["status"] == "completed"

    done = running.run("exec", "--local", prompt, "--yes", "--stream-format", "json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(isinstance(event, dict) for event in events)
    assert "done" in json.dumps(events[-1])

    done = running.run("exec", "--local", prompt, "--yes", "--no-stream")
    assert done.stdout == run["response"].rstrip("\n") + "\n"

    assert server.is_running()
    assert running.json("server", "status")["pid"] == server.pid  # type: ignore[index]
    assert local_queues(running) == []
    assert not running.workers()


def test_another_directory(running: Machine) -> None:
    elsewhere = running.root / "else where"
    elsewhere.mkdir()
    done = running.run("exec", "--local", "Run `pwd`", "--yes", "--cwd", str(elsewhere))
    assert str(elsewhere) in done.stdout.splitlines()
    done = running.run("exec", "--local", "Run `pwd`", "--yes", "--cwd", str(elsewhere / "not"))
    assert done.returncode == 2
    assert "--cwd" in done.stderr
    assert "no directory" in done.stderr


def test_two_at_once_share_one_server(machine: Machine) -> None:
    with ExitStack() as stack:
        runs = [stack.enter_context(machine.spawn("exec", "--local", f"Run `echo run{n}`", "--yes")) for n in range(2)]
        seen: set[int] = set()
        until(lambda: seen.update(servers(machine)) or all(r.process.poll() is not None for r in runs), "both end", 60)
        for number, run in enumerate(runs):
            assert run.process.returncode == 0, run.said()
            assert f"\nrun{number}\n" in run.out.read_text()
    assert len(seen) == 1
    assert_all_is_gone(machine)


def local_queues(machine: Machine) -> list[str]:
    queues = machine.json("queue", "list")
    assert isinstance(queues, list)
    return [queue["name"] for queue in queues if queue["name"].startswith("local-")]


def servers(machine: Machine) -> list[int]:
    return [process.pid for process in machine.running(lambda words: "kubiya_workers.cli.serve" in words)]


def test_without_a_terminal_and_without_yes(machine: Machine) -> None:
    done = machine.run("exec", "--local", "Run `true`")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert done.stdout == ""
    assert list(machine.home.iterdir()) == []


@pytest.mark.parametrize("answer", ["y", "n"])
def test_at_a_terminal_it_shows_and_asks(running: Machine, answer: str) -> None:
    before_it = running.json("execution", "list")
    status, said = at_a_terminal(running, "exec", "--local", "Run `echo done-$((40 + 2))`", answer=f"{answer}\n")
    assert "Run it? [y/N]" in said
    before, _, after = said.partition("Run it?")
    assert "default" in before
    assert "kubiya/offline" in before
    assert str(running.work) in before
    assert "done-42" not in before
    if answer == "y":
        assert status == 0, said
        assert "done-42" in after
    else:
        assert status == 1, said
        assert "Nothing was run" in after
        assert running.json("execution", "list") == before_it


def at_a_terminal(machine: Machine, *words: str, answer: str) -> tuple[int, str]:
    """The command in a pseudo-terminal, answered once it asks; its status and all that the terminal showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [KUBIYA, *words],
        cwd=machine.work,
        env={**machine.environ, "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.set_blocking(ours, False)
    said, asked, deadline = b"", False, time.monotonic() + 60
    try:
        while process.poll() is None or (chunk := _read(ours)):
            chunk = _read(ours) if process.poll() is None else chunk
            said += chunk
            if b"[y/N]" in said and not asked:
                asked = True
                os.write(ours, answer.encode())
            assert time.monotonic() < deadline, said.decode(errors="replace")
            time.sleep(0 if chunk else 0.01)
    finally:
        os.close(ours)
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode, said.decode(errors="replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # nothing to read at the moment, or the other side was closed
        return b""
