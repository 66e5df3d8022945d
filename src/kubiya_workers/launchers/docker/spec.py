"""What a container is to run, and what that means for Docker. Decided from values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubiya_workers
from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.pool import Mode
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.proxies import is_loopback
from kubiya_workers.settings.source import ENV_FILE, BadSetting

from ..upkeep.rotation import LogLimits

IMAGE = f"kubiya-workers:{kubiya_workers.__version__}"
"""Made on this machine by `make image`; nobody else's image of this name is ever fetched."""
HOME = "/home/kubiya/.kubiya"
SETTINGS = "/run/kubiya/worker.env"
AUTHORITIES = "/run/kubiya/authorities.pem"
LABEL = "io.kubiya.worker"
STOP_S = 45
"""Seconds between a container's SIGTERM and its SIGKILL: a worker needs 40 at most to hand back what it does."""
FOR_WORKERS: tuple[v.AnyVariable, ...] = (
    v.ENVIRONMENT_NAME,
    v.HEARTBEAT_INTERVAL,
    v.LOG_LEVEL,
    v.LOG_FORMAT,
    v.KUBIYA_DEBUG,
    v.MAX_CONCURRENT_ACTIVITIES,
    v.MAX_CONCURRENT_WORKFLOWS,
    v.ACTIVITY_TIMEOUT,
    v.MCP_MAX_SERVERS,
    v.MCP_IDLE_TIMEOUT,
    v.SINGLE_EXECUTION,
    v.IDLE_TIMEOUT,
    v.MAX_TASKS,
    v.MAX_UPTIME,
    v.MEMORY_LIMIT,
    v.CPU_LIMIT,
    v.HEALTH_ADDR,
    v.METRICS_ENABLED,
    v.METRICS_PORT,
    v.WORKER_HOSTNAME,
    v.HTTP_PROXY,
    v.HTTPS_PROXY,
    v.ALL_PROXY,
    v.NO_PROXY,
    v.LITELLM_API_BASE,
    v.LITELLM_API_KEY,
    v.LITELLM_MODEL,
    v.MODEL,
    v.MODEL_OVERRIDE,
    v.SKIP_MODEL_VALIDATION,
)
"""What a worker in a container has of the environment of whoever starts it: nothing else of it is the worker's."""
_ENDS_BY_ITSELF = (v.SINGLE_EXECUTION, v.IDLE_TIMEOUT, v.MAX_TASKS, v.MAX_UPTIME)
_INNER_LOG = ("--max-log-size=4Mi", "--max-log-backups=1")


class Pull(StrEnum):
    """When an image is fetched."""

    ALWAYS = "always"
    MISSING = "missing"
    NEVER = "never"


@dataclass(frozen=True)
class ContainerWorker:
    """A worker in a container. `env` are its settings, by variable; `memory` in bytes and `cpus`, 0 for no limit."""

    queue: str
    url: str
    key: str = field(repr=False)
    name: str
    mode: Mode = Mode.DAEMON
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    image: str = IMAGE
    pull: Pull = Pull.MISSING
    limits: LogLimits = field(default_factory=LogLimits)
    memory: int = 0
    cpus: float = 0.0
    volumes: tuple[str, ...] = ()
    authorities: Path | None = None
    """The certificate authorities that it trusts, where they are not its image's."""

    @property
    def on_this_machine(self) -> bool:
        """Whether its control plane listens on this machine's loopback, which no container has by itself."""
        return is_loopback(urlsplit(self.url).hostname or "")


def settings_of(environ: Mapping[str, str]) -> dict[str, str]:
    """Those of the variables that are a worker's business; proxies in either case, as they are read."""
    names = [name for variable in FOR_WORKERS for name in (variable.name, variable.name.lower())]
    return {name: value for name in names if (value := environ.get(name, "").strip())}


def files(spec: ContainerWorker) -> dict[str, bytes]:
    """What is put into the container, by its path there.

    Raises:
        Invalid: a setting does not fit into a line.
        BadSetting: the authorities cannot be read.
    """
    found = {SETTINGS: settings_file(spec).encode()}
    if spec.authorities is not None:
        try:
            found[AUTHORITIES] = spec.authorities.read_bytes()
        except OSError as error:
            raise BadSetting(f"the authorities in {spec.authorities} cannot be read: {error.strerror}") from None
    return found


def settings_file(spec: ContainerWorker) -> str:
    """The file from which the worker takes its settings, the key among them: Docker shows a container's environment
    and its words to everybody who may ask.

    Raises:
        Invalid: a value does not fit into a line.
    """
    values = {**spec.env, v.CONTROL_PLANE_URL.name: spec.url, v.API_KEY.name: spec.key}
    if broken := [name for name, value in values.items() if len(value.splitlines()) > 1]:
        raise Invalid(f"{broken[0]} has several lines, which a worker in a container cannot be given")
    return "".join(f"{name}={value}\n" for name, value in sorted(values.items()))


def container(spec: ContainerWorker) -> dict[str, Any]:
    """The words for its creation, but for the host's part of it."""
    trusted = {v.SSL_CERT_FILE.name: AUTHORITIES} if spec.authorities else {}
    return {
        "image": spec.image,
        "name": spec.name,
        "command": ["kubiya", "worker", "start", f"--queue-id={spec.queue}", *_INNER_LOG],
        "environment": {ENV_FILE: SETTINGS, v.QUEUE_ID.name: spec.queue, v.HOME.name: HOME, **trusted},
        "labels": {LABEL: spec.queue, f"{LABEL}.version": kubiya_workers.__version__},
        "stop_timeout": STOP_S,
        "use_config_proxy": False,
    }


def host_part(spec: ContainerWorker) -> dict[str, Any]:
    """What the host does for it. It is not restarted until it has polled: see `restart_policy`."""
    return {
        "binds": list(spec.volumes),
        "network_mode": "host" if spec.on_this_machine else None,
        "mem_limit": spec.memory or None,
        # Without swap: a worker that pages is not seen to be near its limit.
        "memswap_limit": spec.memory or None,
        "nano_cpus": round(spec.cpus * 1e9) or None,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "log_config": {
            "Type": "json-file",
            "Config": {"max-size": str(spec.limits.max_size), "max-file": str(spec.limits.max_backups + 1)},
        },
    }


def restart_policy(spec: ContainerWorker) -> dict[str, Any] | None:
    """Once it has polled. A worker whose job can be done is started again only when it failed; None for never.

    One that takes a single execution says by its status how that went: status 1 is no crash.
    """
    if spec.mode is Mode.FOREGROUND or spec.env.get(v.SINGLE_EXECUTION.name):
        return None
    ends = any(spec.env.get(variable.name) for variable in _ENDS_BY_ITSELF)
    return {"Name": "on-failure" if ends else "unless-stopped"}


def check_place(spec: ContainerWorker, daemon: str) -> None:
    """That the container will be where its control plane can be reached.

    Raises:
        Invalid: it will not.
    """
    if spec.on_this_machine and daemon.startswith(("tcp://", "ssh://", "https://", "http://")):
        raise Invalid(
            f"the Docker daemon at {daemon} is another machine's, and {spec.url} is reached from this one alone",
            fix="set CONTROL_PLANE_URL to an address that containers there can reach",
        )
