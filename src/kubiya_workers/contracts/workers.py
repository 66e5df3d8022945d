"""Workers: registration, heartbeat and leave-taking between a worker and its control plane."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from .ids import EnvironmentId, QueueId, WorkerId
from .wire import JsonObject, Timestamp, Wire


class WorkerStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    """It was told to take nothing, or its memory is full: it finishes what it has."""
    DRAINING = "draining"
    LOST = "lost"
    """Three heartbeats were missed: its token is revoked, its work goes on elsewhere."""
    DISCONNECTED = "disconnected"
    CRASH_LOOPING = "crash_looping"
    """Its supervisor starts it again and again, and it does not stay."""

    @property
    def is_live(self) -> bool:
        return self in (WorkerStatus.ACTIVE, WorkerStatus.PAUSED, WorkerStatus.DRAINING)


CAN, REPORT = "can", "report"
"""In `worker_metadata`: the actions that a worker can be asked now, and its `WorkerReport`."""


class Action(StrEnum):
    """What can be asked of a worker."""

    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"
    """Finish or hand back what runs, then end."""
    RESTART = "restart"


class Wish(Wire):
    """What was asked of a worker last. It listens for it between its heartbeats, and hears of it in
    their answers.

    `heard_at` is when it said that it did; `refused` why it does not do it. What it then does, its status tells.
    """

    id: str
    action: Action
    note: str | None = None
    until: Timestamp | None = None
    """When a pause is over by itself."""
    asked_by: str
    """The name of the key."""
    asked_at: Timestamp
    heard_at: Timestamp | None = None
    refused: str | None = None


class AskedOf(Wire):
    """The body with which something is asked of a worker: empty, or with a note for whoever looks.

    `until` is when a pause is over by itself.
    """

    note: str | None = None
    until: Timestamp | None = None


class Heard(Wire):
    """A worker says that it has heard a wish; `refused` why it does not do it."""

    id: str
    refused: str | None = None


class Worker(Wire):
    id: WorkerId
    queue_id: QueueId
    queue_name: str
    environment_id: EnvironmentId
    status: WorkerStatus
    hostname: str | None = None
    pid: int | None = None
    version: str | None = None
    tasks_processed: int = 0
    current_task_id: str | None = None
    worker_metadata: JsonObject = {}
    system_info: JsonObject = {}
    registered_at: Timestamp
    last_heartbeat: Timestamp
    disconnected_at: Timestamp | None = None
    disconnect_reason: str | None = None
    wish: Wish | None = None

    @property
    def hears(self) -> bool:
        """Whether it has said what can be asked of it."""
        return CAN in self.worker_metadata

    @property
    def can(self) -> tuple[Action, ...]:
        """What can be asked of it now, as it said itself."""
        if not self.status.is_live or self.status is WorkerStatus.DRAINING:
            return ()
        said = self.worker_metadata.get(CAN)
        return tuple(action for action in Action if action in said) if isinstance(said, list) else ()


class SystemInfo(Wire):
    """What a worker says of its machine; sizes in bytes."""

    hostname: str | None = None
    platform: str | None = None
    os_name: str | None = None
    os_version: str | None = None
    python_version: str | None = None
    pid: int | None = None
    cwd: str | None = None
    cpu_count: int | None = None
    memory_total: int | None = None
    docker_available: bool | None = None
    models: tuple[str, ...] | None = None
    """What its own gateway has, as names and patterns (`*`); None when it calls the control plane's."""


class Registration(Wire):
    """The body of a worker's registration; `environment_name` is where an unknown queue is created.

    `heartbeat_interval` (seconds) is how often this worker will beat, where it does not take the queue's.
    """

    worker_sdk_version: str | None = None
    control_plane_url: str | None = None
    system_info: SystemInfo | None = None
    environment_name: str | None = None
    heartbeat_interval: int | None = Field(default=None, ge=1, le=300)
    single_execution: bool = False
    """It takes one execution and ends; a queue that is made for it goes with it."""
    model: str | None = None
    """What it will ask the control plane's gateway for in every call; refused where that has no such model."""


class Registered(Wire):
    """All that a worker is handed: scoped to it, and never the control plane's own credentials.

    `worker_token` is its identity from here on; `litellm_api_key` is the same token, for the gateway.
    """

    worker_id: WorkerId
    worker_token: str
    task_queue_name: str
    temporal_namespace: str
    temporal_host: str
    temporal_api_key: str | None = None
    temporal_tls: bool = False
    temporal_tunnel: bool = False
    """Other hosts than the control plane's own reach Temporal through that, at /api/v1/temporal."""
    organization_id: str = "local"
    control_plane_url: str
    heartbeat_interval: int
    litellm_api_url: str
    litellm_api_key: str
    queue_name: str
    environment_name: str
    queue_id: QueueId
    queue_ephemeral: bool = False
    queue_single_execution: bool = False
    queue_settings: JsonObject = {}


class Heartbeat(Wire):
    status: WorkerStatus = WorkerStatus.ACTIVE
    tasks_processed: int = 0
    current_task_id: str | None = None
    worker_metadata: JsonObject = {}
    system_info: dict[str, Any] | None = None
    logs: tuple[str, ...] = ()
    heard: Heard | None = None


class Wanted(Wire):
    """The answer to the heartbeat of a worker of which something is wanted; else there is none (204)."""

    wish: Wish


class Disconnect(Wire):
    reason: str
    exit_code: int | None = None
    error_message: str | None = None
