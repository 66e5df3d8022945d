"""The workers of one machine: what is kept of them there, and what a worker says of itself over HTTP.

starting → running → stopping → stopped
    ↖ restarting ↙ └→ crash-looping (tried each minute)      starting → failed
"""

from enum import StrEnum
from typing import Literal

from .ids import QueueId, WorkerId
from .wire import Timestamp, Wire
from .workers import Worker, WorkerStatus


class Mode(StrEnum):
    FOREGROUND = "foreground"
    """Ends with its terminal; not started again."""
    DAEMON = "daemon"
    """Kept by a supervisor, which starts it again."""


class UpkeepState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    """It polled when it was last asked."""
    RESTARTING = "restarting"
    """It ended, or was ended, and is to be started again at `next_start_at`."""
    CRASH_LOOPING = "crash-looping"
    """It crashed ten times in a row, and is tried again each minute."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    """It could not be started, or ended in a way that the same start would bring again."""

    @property
    def is_over(self) -> bool:
        return self in (UpkeepState.STOPPED, UpkeepState.FAILED)


class ProcessRef(Wire):
    """A process that can be told from a later one of the same number; `start` is good only for comparing."""

    pid: int
    start: str


class Restart(Wire):
    """Why a worker was started again; `status` is its exit status, negative for a signal."""

    at: Timestamp
    reason: str
    status: int | None = None
    crash: bool = True
    """False when its supervisor ended it: it was deaf, or over its memory limit."""


class StartedWith(Wire):
    """How its start was asked for, so that a restart can ask for the same; `flags` are variables given as flags."""

    cwd: str
    flags: dict[str, str] = {}
    max_log_size: int
    max_log_backups: int
    proxy_config: str | None = None


class Record(Wire):
    """What is known on this machine of the worker of a queue. `reason` says why it does not run, or not yet."""

    queue: str
    mode: Mode
    state: UpkeepState
    reason: str | None = None
    supervisor: ProcessRef
    worker: ProcessRef | None = None
    worker_id: WorkerId | None = None
    health: str | None = None
    """Address of the worker's health over HTTP."""
    version: str
    control_plane_url: str
    log: str
    started_with: StartedWith
    started_at: Timestamp
    """Since when it is kept; `worker_started_at` since when the present process runs."""
    worker_started_at: Timestamp | None = None
    restarts: int = 0
    crashes_in_a_row: int = 0
    last_restart: Restart | None = None
    next_start_at: Timestamp | None = None
    updated_at: Timestamp


class ContainerRef(Wire):
    """The container of a queue's worker, as this machine remembers it. `docker` is the address of the daemon that has
    it, empty for the usual one."""

    id: str
    name: str
    image: str
    mode: Mode
    docker: str = ""


class ContainerState(StrEnum):
    """As Docker says it."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"
    GONE = "gone"
    """There is no such container any more."""

    @property
    def is_over(self) -> bool:
        return self in (ContainerState.EXITED, ContainerState.DEAD, ContainerState.GONE)


class Container(Wire):
    """A worker's container as its daemon sees it. `restarts` are Docker's own; `out_of_memory`: the kernel ended it."""

    ref: ContainerRef
    state: ContainerState
    exit_code: int | None = None
    out_of_memory: bool = False
    restarts: int = 0
    started_at: Timestamp | None = None


class InstallationRef(Wire):
    """Workers that were installed in a cluster, as this machine remembers them. `kubeconfig` and `context` say which
    cluster, empty for the usual one."""

    name: str
    namespace: str
    queue: str
    kubeconfig: str = ""
    context: str = ""


class PodSeen(Wire):
    """A pod as its cluster sees it. `reason` says why it is not ready; `newest` is None where nobody may tell."""

    name: str
    ready: bool
    state: str
    newest: bool | None = None
    reason: str | None = None
    restarts: int = 0
    node: str | None = None
    started_at: Timestamp | None = None


class Changed(Wire):
    """What became of an object of a cluster. `fields` are those that differ, by path, never with their values."""

    kind: str
    name: str
    change: Literal["created", "configured", "unchanged", "deleted"]
    fields: tuple[str, ...] = ()


class Installed(Wire):
    """Workers in a cluster, as that sees them: how many pods are wanted, are of the newest version, and are ready.

    `there` is whether the installation exists, `settled` whether the cluster has done all that was last asked of it.
    """

    ref: InstallationRef
    there: bool
    settled: bool = False
    wanted: int = 0
    updated: int = 0
    ready: int = 0
    image: str | None = None
    autoscaler: str | None = None
    least: int = 0
    """How many pods its autoscaler wants at least."""
    pods: tuple[PodSeen, ...] = ()
    problems: tuple[str, ...] = ()
    """What keeps pods from being made at all."""
    changes: tuple[Changed, ...] = ()
    """What an install or an uninstall has just changed, or would change."""


class Ready(Wire):
    """The line with which a worker tells whoever started it that it polls."""

    worker_id: WorkerId
    health: str | None = None


class Pause(Wire):
    """A worker is to finish what it has and take nothing; `until` None means until it is resumed."""

    note: str | None = None
    since: Timestamp
    until: Timestamp | None = None


class Slots(Wire):
    """`used` None where nobody tells."""

    used: int | None = None
    total: int


class WorkerReport(Wire):
    """What a worker says of itself at `/status`. Sizes in bytes, times in seconds.

    `taking` is whether it takes work now; when it does not, or is not `ready`, `reason` says why.
    """

    worker_id: WorkerId | None = None
    queue: str
    queue_id: QueueId | None = None
    hostname: str
    pid: int
    version: str
    status: WorkerStatus
    ready: bool
    taking: bool
    reason: str | None = None
    started_at: Timestamp
    uptime_s: float
    activities: Slots
    workflows: Slots
    executions: tuple[str, ...] = ()
    """Those whose steps run here now."""
    tasks_completed: int = 0
    tasks_failed: int = 0
    average_task_s: float = 0.0
    last_poll: Timestamp | None = None
    last_heartbeat: Timestamp | None = None
    heartbeats_failed: int = 0
    events_waiting: int = 0
    memory: int = 0
    """Of the worker and its tools."""
    memory_limit: int | None = None
    cpu_percent: float = 0.0
    backlog: int | None = None
    """Tasks that wait in the queue, as Temporal counts them."""
    control_plane_url: str
    temporal_host: str | None = None
    metrics: str | None = None
    pause: Pause | None = None


class Seen(Wire):
    """What can be said of a queue's workers from one machine.

    `running` is whether one of them lives, here or elsewhere; when not, `why` says what became of the last one here.
    `elsewhere` are those that the control plane knows beside it; None when it was not asked. For a worker in a
    `container`, record and report are what is said inside: their processes and paths are the container's.
    """

    queue: str
    running: bool
    why: str | None = None
    container: Container | None = None
    installed: Installed | None = None
    record: Record | None = None
    report: WorkerReport | None = None
    pause: Pause | None = None
    elsewhere: tuple[Worker, ...] | None = None


class WorkerType(StrEnum):
    LOCAL = "local"
    """In the foreground of a terminal of this machine."""
    DAEMON = "daemon"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"
    """The pods of an installation, together."""
    REMOTE = "remote"


class Listed(Wire):
    """One worker among many. `state` is what its keeper says of it, or the control plane for one elsewhere."""

    queue: str
    type: WorkerType
    state: str
    hostname: str | None = None
    pid: int | None = None
    worker_id: WorkerId | None = None
    started_at: Timestamp | None = None
    restarts: int | None = None
    tasks: int | None = None
    version: str | None = None


class CrashReport(Wire):
    """A supervisor tells the control plane how its worker ended; `looping` while it crashes again and again."""

    hostname: str
    pid: int | None = None
    worker_id: WorkerId | None = None
    version: str | None = None
    reason: str
    exit_code: int | None = None
    crashes_in_a_row: int = 1
    looping: bool = False


CheckState = Literal["ok", "failed"]


class Check(Wire):
    """One of the things that `/readyz` and `/livez` look at."""

    name: str
    state: CheckState
    detail: str
