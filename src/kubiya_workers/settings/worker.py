"""What a worker process is built with."""

import socket
from dataclasses import dataclass, field
from pathlib import Path

from . import variables as v
from .paths import Paths
from .server import TemporalSettings
from .source import BadSetting, Source


@dataclass(frozen=True)
class WorkerSettings:
    """Everything one worker needs; times in seconds. `heartbeat_interval` None takes the queue's."""

    paths: Paths
    queue: str
    environment: str
    url: str
    key: str = field(repr=False)
    hostname: str
    heartbeat_interval: int | None
    log_level: str
    log_format: str
    max_activities: int
    max_workflows: int
    activity_timeout: int
    mcp_max_servers: int
    mcp_idle_timeout: int
    single_execution: bool
    idle_timeout: int
    """Seconds without work after which it ends; 0 is never, as for the two below."""
    max_tasks: int
    max_uptime: int
    memory_limit: int
    """Bytes; 0 when there is none."""
    cpu_limit: float
    """CPUs; 0 when there is no limit."""
    health_addr: str
    metrics_port: int | None
    """Where metrics are served beside the health address; None where nobody asked for them."""
    model: str | None
    skip_model_validation: bool
    gateway: str | None
    """Where models are called instead of at the control plane's gateway, with `gateway_key`."""
    gateway_key: str = field(repr=False)
    gateway_model: str | None
    """The model there for runs that name none."""
    ready_fd: int
    """Where to say that it is ready; negative when nobody asked."""
    log_file: Path | None
    """Where to log on when nobody reads our output any more."""
    temporal: TemporalSettings
    """Only its certificate paths and proxies are used: the rest is handed over at registration."""

    @classmethod
    def of(cls, source: Source, *, queue: str | None = None) -> "WorkerSettings":
        url = source.first(v.BASE_URL, v.GATEWAY_URL, v.CONTROL_PLANE_URL)
        metrics_port = source.get(v.METRICS_PORT)
        key, queue = source.get(v.API_KEY), source.get(v.QUEUE_ID, queue)
        for name, value in ((v.QUEUE_ID.name, queue), (v.CONTROL_PLANE_URL.name, url), (v.API_KEY.name, key)):
            if not value:
                raise BadSetting(f"{name} is not set")
        return cls(
            paths=Paths.of(source),
            queue=queue,
            environment=source.get(v.ENVIRONMENT_NAME),
            url=url or "",
            key=key,
            hostname=source.get(v.WORKER_HOSTNAME) or socket.gethostname(),
            heartbeat_interval=source.get(v.HEARTBEAT_INTERVAL) if source.text_of(v.HEARTBEAT_INTERVAL.name) else None,
            log_level="DEBUG" if source.get(v.KUBIYA_DEBUG) else source.get(v.LOG_LEVEL),
            log_format=source.get(v.LOG_FORMAT),
            max_activities=source.get(v.MAX_CONCURRENT_ACTIVITIES),
            max_workflows=source.get(v.MAX_CONCURRENT_WORKFLOWS),
            activity_timeout=source.get(v.ACTIVITY_TIMEOUT),
            mcp_max_servers=source.get(v.MCP_MAX_SERVERS),
            mcp_idle_timeout=source.get(v.MCP_IDLE_TIMEOUT),
            single_execution=source.get(v.SINGLE_EXECUTION),
            idle_timeout=source.get(v.IDLE_TIMEOUT),
            max_tasks=source.get(v.MAX_TASKS),
            max_uptime=source.get(v.MAX_UPTIME),
            memory_limit=source.get(v.MEMORY_LIMIT),
            cpu_limit=source.get(v.CPU_LIMIT),
            health_addr=source.get(v.HEALTH_ADDR),
            metrics_port=metrics_port if source.get(v.METRICS_ENABLED) else None,
            model=source.first(v.MODEL, v.MODEL_OVERRIDE),
            skip_model_validation=source.get(v.SKIP_MODEL_VALIDATION),
            gateway=source.get(v.LITELLM_API_BASE) or None,
            gateway_key=source.get(v.LITELLM_API_KEY),
            gateway_model=source.get(v.LITELLM_MODEL) or None,
            ready_fd=source.get(v.READY_FD),
            log_file=Path(source.get(v.LOG_FILE)) if source.get(v.LOG_FILE) else None,
            temporal=TemporalSettings.of(source),
        )
