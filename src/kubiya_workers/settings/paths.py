"""Where files are: the one place that knows the layout of the home directory."""

from dataclasses import dataclass
from pathlib import Path

from . import variables as v
from .source import Source

PROXY_RECORD = "proxy.json"
PROXY_STOP = "proxy-stop"
"""In the directory of whoever keeps a LiteLLM."""


@dataclass(frozen=True)
class Paths:
    """The product's home, `~/.kubiya` unless KUBIYA_HOME says otherwise. Making directories is the user's business."""

    home: Path

    @classmethod
    def of(cls, source: Source) -> "Paths":
        named = source.get(v.HOME)
        return cls(Path(named).expanduser() if named else Path.home() / ".kubiya")

    @property
    def server(self) -> Path:
        return self.home / "server"

    @property
    def database(self) -> Path:
        return self.server / "kubiya.db"

    @property
    def temporal_database(self) -> Path:
        return self.server / "temporal.db"

    @property
    def objects(self) -> Path:
        return self.server / "objects"

    @property
    def server_log(self) -> Path:
        return self.server / "server.log"

    @property
    def temporal_log(self) -> Path:
        return self.server / "temporal.log"

    @property
    def server_state(self) -> Path:
        """Where the running embedded server says its pid and address."""
        return self.server / "server.json"

    @property
    def server_lock(self) -> Path:
        """Held by the one running server of this home."""
        return self.server / "server.lock"

    @property
    def server_users(self) -> Path:
        """Held, shared, by each command that needs an on-demand server to stay."""
        return self.server / "users.lock"

    @property
    def server_instance(self) -> Path:
        """The name by which the control planes of this home know what they started."""
        return self.server / "instance"

    @property
    def on_demand(self) -> Path:
        """What belongs to workers on demand that are processes, a directory each."""
        return self.server / "on-demand"

    @property
    def credentials(self) -> Path:
        """The local user's own key for the embedded control plane, mode 0600."""
        return self.server / "credentials"

    @property
    def plans(self) -> Path:
        """The plans that were made here, `<plan id>.json`, mode 0600: `contracts.plans.SavedPlan`."""
        return self.home / "plans"

    @property
    def workers(self) -> Path:
        return self.home / "workers"

    def worker(self, queue: str) -> Path:
        """What belongs to the worker of a queue on this machine, and goes with `kubiya worker clean`."""
        return self.workers / queue

    def worker_log(self, queue: str) -> Path:
        return self.worker(queue) / "logs" / "worker.log"

    def worker_script(self, queue: str) -> Path:
        return self.worker(queue) / "worker.py"

    def requirements(self, queue: str) -> Path:
        return self.worker(queue) / "requirements.txt"

    def venv(self, queue: str) -> Path:
        return self.worker(queue) / "venv"

    def daemon_info(self, queue: str) -> Path:
        return self.worker(queue) / "daemon_info.txt"

    @property
    def litellm(self) -> Path:
        """LiteLLM's own environments, one a version."""
        return self.home / "litellm"

    @property
    def gateway_log(self) -> Path:
        """What the control plane's LiteLLM says."""
        return self.server / "litellm.log"

    def proxy_log(self, queue: str) -> Path:
        """What the LiteLLM beside a queue's worker says."""
        return self.worker(queue) / "logs" / "litellm.log"

    @property
    def gateway_proxy(self) -> Path:
        """How the control plane's LiteLLM is: `contracts.console.ProxyRecord`."""
        return self.server / PROXY_RECORD

    def worker_proxy(self, queue: str) -> Path:
        """How the LiteLLM beside a queue's worker is."""
        return self.upkeep(queue) / PROXY_RECORD

    @property
    def upkeeps(self) -> Path:
        """What commands and supervisors tell each other, a directory a queue: not for people."""
        return self.home / "run"

    def upkeep(self, queue: str) -> Path:
        return self.upkeeps / queue

    def worker_lock(self, queue: str) -> Path:
        """Held by the one supervisor, or foreground command, that keeps a worker of this queue here."""
        return self.upkeep(queue) / "lock"

    def worker_record(self, queue: str) -> Path:
        """What is known of the worker that is kept: `contracts.pool.Record`."""
        return self.upkeep(queue) / "worker.json"

    def worker_container(self, queue: str) -> Path:
        """Which container has the queue's worker: `contracts.pool.ContainerRef`."""
        return self.upkeep(queue) / "container.json"

    def worker_installation(self, queue: str) -> Path:
        """Where in a cluster the queue's workers were installed from here: `contracts.pool.InstallationRef`."""
        return self.upkeep(queue) / "installation.json"

    def pause(self, queue: str) -> Path:
        """There while the worker of this queue is to take nothing: `contracts.pool.Pause`."""
        return self.upkeep(queue) / "pause.json"

    @property
    def console(self) -> Path:
        """What the web interface of this machine's workers keeps."""
        return self.home / "console"

    @property
    def console_state(self) -> Path:
        """Where the running web interface says its pid, its address and how to be let in, mode 0600."""
        return self.console / "console.json"

    @property
    def console_lock(self) -> Path:
        """Held by the one running web interface of this home."""
        return self.console / "console.lock"

    @property
    def console_users(self) -> Path:
        """Held, shared, by each keeper of a worker, and whoever else wants the web interface to stay."""
        return self.console / "users.lock"

    @property
    def console_log(self) -> Path:
        return self.console / "console.log"

    @property
    def saved_environment(self) -> Path:
        """Variables that were set in the web interface, mode 0600: the environment wins over it."""
        return self.home / "environment.json"
