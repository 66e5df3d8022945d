"""What the web interface of a worker pool is told beyond the control plane's own API. Served at `/console/api`."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from .keys import Scope as KeyScope
from .pool import Listed, Pause, ProcessRef, Record, WorkerReport
from .usage import ModelCalls
from .wire import JsonObject, Timestamp, Wire
from .workers import Action, Worker

Scope = Literal["pool", "fleet"]
"""The workers of one machine, or all that a control plane knows."""


class SignIn(Wire):
    """The body of a sign-in with a key."""

    key: str = Field(min_length=1, max_length=4096, repr=False)


class Guest(Wire):
    """Whose key a browser was let in with, and what that key may do."""

    key_name: str
    key_scope: KeyScope
    until: Timestamp
    """When it has to sign in again."""


class Session(Wire):
    """Who talks to whom. `csrf` goes with every request that changes something, as `X-Kubiya-CSRF`."""

    csrf: str
    scope: Scope
    version: str
    build: str
    """Of the pages: a digest, or "none"."""
    os: str
    python: str
    hostname: str
    home: str | None = None
    """None for a fleet."""
    control_plane_url: str
    guest: Guest | None = None
    """None on one's own machine, where whoever is let in may do all that the machine's key may."""


class Contact(Wire):
    """One try to reach the control plane; `error` is why it failed. `latency_ms` is one request's round trip."""

    at: Timestamp
    latency_ms: float | None = None
    error: str | None = None


class ConnectionState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"


class Connection(Wire):
    """How the control plane is reached. `samples` are the last contacts, the newest last."""

    url: str
    state: ConnectionState
    since: Timestamp
    embedded: bool = False
    version: str | None = None
    authentication: str
    """Where the key comes from, in words; never the key."""
    last_contact: Timestamp | None = None
    reconnects: int = 0
    samples: tuple[Contact, ...] = ()
    checks: dict[str, str | None] = {}
    """What the control plane says of its own parts: None is well, else why it is not."""
    temporal_host: str | None = None
    configuration: JsonObject = {}
    """What the workers of this machine are configured with, by their queue, without secrets."""


class PoolWorker(Wire):
    """One worker. `key` names it in addresses: the queue for one of this machine, its id for one elsewhere."""

    key: str
    listed: Listed
    record: Record | None = None
    report: WorkerReport | None = None
    """What it says of itself: now, for one of this machine; at its last heartbeat, for one elsewhere."""
    pause: Pause | None = None
    remote: Worker | None = None
    """What the control plane knows of one elsewhere."""
    actions: tuple[Action, ...] = ()
    """What can be asked of it now."""
    log: str | None = None
    """The name of its log among the log sources."""


class Notice(Wire):
    """Something is wrong: one plain sentence, and what to do."""

    text: str
    remedy: str | None = None


class Minute(Wire):
    """What happened to executions in one minute."""

    at: Timestamp
    started: int = 0
    completed: int = 0
    failed: int = 0


class Live(Wire):
    """All that changes by itself, as of one moment: the event `live` of `/console/api/live`, whenever it changed."""

    at: Timestamp
    workers: tuple[PoolWorker, ...]
    connection: Connection
    notices: tuple[Notice, ...] = ()
    minutes: tuple[Minute, ...] = ()
    """The last hour, the newest last; empty while the control plane is away."""
    backlog: dict[str, int] = {}
    """What waits, by queue: tasks, as its workers here count them, or executions that nobody takes."""


class LogSource(Wire):
    """A log that can be read: `worker/QUEUE`, `litellm/QUEUE`, `server`, `temporal`, `litellm`."""

    name: str
    path: str
    size: int
    files: int


class LogLine(Wire):
    """One line. `level` is DEBUG, INFO, WARN or ERROR, where it says so; `text` is the whole line, ANSI included."""

    source: str
    cursor: str
    """Where the line ends: opaque, good for `before` and `after`."""
    at: Timestamp | None = None
    level: str | None = None
    text: str


class LogPage(Wire):
    """Lines, the oldest first; `before` is None when there are none before them."""

    lines: tuple[LogLine, ...]
    before: str | None = None
    after: str | None = None


class Origin(StrEnum):
    DEFAULT = "default"
    ENVIRONMENT = "environment"
    CONTEXT = "context"
    SAVED = "saved"
    """In the file that this page writes."""


class EnvironmentVariable(Wire):
    """`value` of a secret is None: it is never sent; `is_set` tells whether there is one."""

    name: str
    meaning: str
    default: str | None = None
    value: str | None = None
    is_set: bool
    secret: bool
    origin: Origin
    editable: bool
    needs_restart: bool
    """Whether workers have to be restarted for a new value to count."""


class EnvironmentPage(Wire):
    file: str
    variables: tuple[EnvironmentVariable, ...]
    restart_wanted: tuple[str, ...] = ()
    """Workers, by key, that began before the file was written last."""


class FindingResult(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Finding(Wire):
    """`evidence` is what was seen; `remedy` the next step where it is not well; `fix` what a button can do about it."""

    name: str
    result: FindingResult
    evidence: str
    remedy: str | None = None
    fix: str | None = None


class DoctorReport(Wire):
    at: Timestamp
    findings: tuple[Finding, ...]


class ProxyModel(Wire):
    """A configured endpoint of a LiteLLM; secrets in `params` are masked."""

    model_name: str
    params: JsonObject


ProxyState = Literal["running", "starting", "stopping", "stopped", "failed"]
ProxyAction = Literal["start", "stop", "restart"]


class ProxyRecord(Wire):
    """What whoever keeps a LiteLLM said of it last; `owner` is its keeper, `process` the LiteLLM itself."""

    owner: ProcessRef
    process: ProcessRef | None = None
    state: ProxyState
    reason: str | None = None
    url: str
    started_at: Timestamp | None = None
    restarts: int = 0
    models: tuple[ProxyModel, ...] = ()


class ProxyStatus(Wire):
    """A LiteLLM beside a worker (`owner` is `worker/QUEUE`) or the control plane (`server`)."""

    owner: str
    state: ProxyState
    reason: str | None = None
    url: str | None = None
    pid: int | None = None
    memory: int | None = None
    started_at: Timestamp | None = None
    restarts: int = 0
    healthy: bool | None = None
    models: tuple[ProxyModel, ...] = ()
    calls: tuple[ModelCalls, ...] = ()
    """What its worker called through it, since that began; those of a control plane are its gateway's to tell."""
    actions: tuple[ProxyAction, ...] = ()
    """What can be asked of it now."""
    log: str | None = None
