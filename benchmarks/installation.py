"""The real processes in a private home: a control plane with its Temporal, workers, bare workers, models."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = sys.executable
KUBIYA = str(Path(sys.executable).with_name("kubiya"))
_KEPT = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE")
_WITHIN_S = 120.0
CONCURRENCY = {"MAX_CONCURRENT_ACTIVITIES": "60", "MAX_CONCURRENT_WORKFLOWS": "20"}
"""The same for our worker and the bare one: more than the streams and runs that any measurement has at once."""


class NotReady(Exception):
    """A process ended, or said nothing, instead of becoming ready; with its last words."""


@dataclass
class Spawned:
    """A process whose output is read until it says that it is ready, then goes to a file."""

    process: subprocess.Popen[bytes]
    output: Path
    began: float = field(default_factory=time.monotonic)

    def until_said(self, text: str) -> str:
        """Wait for a line with `text` in it; the line.

        Raises:
            NotReady: it did not come.
        """
        while time.monotonic() < self.began + _WITHIN_S:
            said = self.output.read_text(errors="replace")
            for line in said.splitlines(keepends=True):
                if text in line and line.endswith("\n"):
                    return line.strip()
            if self.process.poll() is not None:
                break
            time.sleep(0.002)
        raise NotReady(self.output.read_text(errors="replace")[-3000:])

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass
class Installation:
    """One home. `environ` is what its control plane is started with on top of a bare environment."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict[str, str])
    _spawned: list[Spawned] = field(default_factory=list[Spawned])

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def state(self) -> Mapping[str, str]:
        return json.loads((self.home / ".kubiya" / "server" / "server.json").read_text())

    @property
    def url(self) -> str:
        return self.state["url"]

    @property
    def temporal(self) -> str:
        return self.state["temporal"]

    @property
    def key(self) -> str:
        return (self.home / ".kubiya" / "server" / "credentials").read_text().strip()

    def spawn(self, *words: str, env: Mapping[str, str] | None = None) -> Spawned:
        """Start a process of this home; it is ended with the installation."""
        output = self.root / f"{len(self._spawned)}.log"
        with output.open("wb") as log:
            process = subprocess.Popen(
                words, cwd=self.root, env=self.environment(env), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        spawned = Spawned(process, output)
        self._spawned.append(spawned)
        return spawned

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """A bare environment with this home in it."""
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        own = {"HOME": str(self.home), "PYTHONPATH": str(Path(__file__).parent.parent)}
        own["UV_CACHE_DIR"] = os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")
        return {**kept, **own, **self.environ, **(more or {})}

    def start_server(self, model_url: str) -> Spawned:
        self.environ |= {"KUBIYA_LLM_BASE_URL": model_url, "KUBIYA_LLM_MODEL": "scripted"}
        server = self.spawn(PYTHON, "-m", "kubiya_workers.cli.serve", "--mode", "foreground")
        server.until_said("Control plane is up")
        return server

    def start_litellm_server(self, model_url: str) -> Spawned:
        """A control plane whose gateway calls the model through a LiteLLM."""
        params = {"model": "openai/scripted", "api_base": model_url, "api_key": "none"}
        config = self.root / "models.json"
        listed = [{"model_name": "scripted", "litellm_params": params}]
        # One setting is enough for the gateway not to call the model's server itself.
        config.write_text(json.dumps({"model_list": listed, "litellm_settings": {"drop_params": True}}))
        server = self.spawn(PYTHON, "-m", "kubiya_workers.cli.serve", "--llm-config", str(config))
        server.until_said("Control plane is up")
        return server

    def start_stamping_model(self, streams: int, tokens: int, per_second: int) -> str:
        """Its base URL."""
        words = map(str, (streams, tokens, per_second))
        return self.spawn(PYTHON, "-m", "benchmarks.stamping_model", *words).until_said("http")

    def start_worker(self, queue: str = "ours") -> Spawned:
        """A worker that polls."""
        access = {"CONTROL_PLANE_URL": self.url, "KUBIYA_API_KEY": self.key}
        env = {**access, **CONCURRENCY}
        worker = self.spawn(PYTHON, "-m", "kubiya_workers.worker", "--queue-id", queue, env=env)
        worker.until_said("Ready")
        return worker

    def start_bare_worker(self) -> Spawned:
        worker = self.spawn_bare_worker()
        worker.until_said("Ready")
        return worker

    def spawn_bare_worker(self) -> Spawned:
        return self.spawn(PYTHON, "-m", "benchmarks.bare", self.temporal, env=CONCURRENCY)

    def start_model(self) -> str:
        """The scripted model as a process of its own; its base URL."""
        return self.spawn(PYTHON, "-m", "kubiya_workers.testing.scripted_model").until_said("http")

    def close(self) -> None:
        """End the workers first: they say farewell to the control plane."""
        for spawned in reversed(self._spawned):
            spawned.end()


@contextmanager
def installation() -> Generator[Installation]:
    with tempfile.TemporaryDirectory(prefix="kubiya-bench-", ignore_cleanup_errors=True) as root:
        made = Installation(Path(root))
        made.home.mkdir()
        try:
            yield made
        finally:
            made.close()
