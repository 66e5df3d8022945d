"""One person's machine: an empty home, and the real `kubiya` command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

KUBIYA = Path(sys.executable).with_name("kubiya")
KEPT = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def until(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Wait for a condition; the deadline is generous, a test never sleeps for a fixed time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)


@dataclass
class Machine:
    """One person's machine: an empty home, a working directory, and the `kubiya` command."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        for directory in (self.home, self.temporary, self.work):
            directory.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        self.environ = {
            **kept,
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "KUBIYA_SERVER_PORT": "",
            "KUBIYA_WEBUI": "false",  # one process more for each: it is on in the tests that are about it
            **self.environ,
        }

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    @property
    def work(self) -> Path:
        return self.root / "work"

    def run(
        self, *words: str, env: dict[str, str] | None = None, timeout: float = 90, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The command, to its end."""
        return subprocess.run(
            [KUBIYA, *words],
            cwd=self.work,
            env={**self.environ, **(env or {})},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *words: str, **options: float) -> object:
        """What the command prints with `-o json`; it must succeed."""
        done = self.run(*words, "-o", "json", **options)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @contextmanager
    def spawn(self, *words: str, env: dict[str, str] | None = None) -> Iterator["Spawned"]:
        """The command in the background, its output in files; killed at the end if it still runs."""
        name = f"{'-'.join(words[:2])}-{time.monotonic_ns()}"
        out, err = self.root / f"{name}.out", self.root / f"{name}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [KUBIYA, *words],
                cwd=self.work,
                env={**self.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        spawned = Spawned(process, out, err)
        try:
            yield spawned
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(40)
            if process.poll() is None:
                process.kill()
                process.wait()

    def processes(self) -> list[psutil.Process]:
        """Every process that lives in this home, whatever started it."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("HOME") == str(self.home) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def running(self, matches: Callable[[list[str]], bool]) -> list[psutil.Process]:
        """Those whose command line matches; one may end while it is looked at.

        A child has its parent's command line until it becomes its own program: it is not counted.
        """
        parents: dict[psutil.Process, int] = {}
        for process in self.processes():
            with suppress(psutil.Error):
                if matches(process.cmdline()):
                    parents[process] = process.ppid()
        matching = {process.pid for process in parents}
        return [process for process, parent in parents.items() if parent not in matching]

    def command_lines(self) -> list[list[str]]:
        """What any user of this machine could read of them."""
        found: list[list[str]] = []
        for process in self.processes():
            with suppress(psutil.Error):
                found.append(process.cmdline())
        return found

    def sleeps(self) -> bool:
        """Whether a tool has come to its `sleep`."""
        return any(words[:1] == ["sleep"] for words in self.command_lines())

    def workers(self) -> list[psutil.Process]:
        return self.running(lambda words: any(map(_is_worker, words)))

    def assert_nothing_left(self) -> None:
        until(lambda: not self.processes(), f"nothing is left of {self.home}: {self.processes()}", 15)
        assert list(self.temporary.iterdir()) == []

    def kill_everything(self) -> None:
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()


@contextmanager
def served(root: Path, **environ: str) -> Iterator[Machine]:
    """A machine on which somebody has started the server; it is stopped again, and nothing of it may be left."""
    machine = Machine(root, environ)
    started = machine.run("server", "start")
    try:
        assert started.returncode == 0, started.stderr
        yield machine
        assert machine.run("server", "stop").returncode == 0
        machine.assert_nothing_left()
    finally:
        machine.kill_everything()


def _is_worker(word: str) -> bool:
    return word.endswith("/worker.py") or word == "kubiya_workers.worker"


@dataclass
class Spawned:
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def said(self) -> str:
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    def until_said(self, text: str, seconds: float = 40) -> None:
        def said() -> bool:
            over = self.process.poll() is not None  # asked first: what it says before its end counts
            found = text in self.said()
            assert found or not over, self.said()
            return found

        until(said, f"the command says {text!r}", seconds)

    def end(self, number: int = signal.SIGTERM, seconds: float = 45) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)
