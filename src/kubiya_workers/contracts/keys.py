"""API keys: scoped, shown once, stored hashed."""

from enum import StrEnum

from .ids import KeyId, QueueId, WorkerId
from .wire import Timestamp, Wire


class Scope(StrEnum):
    ADMIN = "admin"
    """Everything."""
    CLIENT = "client"
    """Run and read executions, and manage agents, skills, queues and environments."""
    WORKER = "worker"
    """Register workers; a worker's own token may act only for that worker."""


class Key(Wire):
    id: KeyId
    name: str
    scope: Scope
    prefix: str
    """The first characters of the key, to recognise it by."""
    worker_id: WorkerId | None = None
    queue_id: QueueId | None = None
    created_at: Timestamp
    expires_at: Timestamp | None = None
    revoked_at: Timestamp | None = None


class NewKey(Wire):
    name: str
    scope: Scope = Scope.CLIENT
    queue_id: QueueId | None = None
    expires_at: Timestamp | None = None


class CreatedKey(Key):
    """The only answer that ever carries the key itself."""

    key: str


class Caller(Wire):
    """Who makes a request, once its key is known to be good."""

    key_id: KeyId
    name: str
    scope: Scope
    worker_id: WorkerId | None = None
    queue_id: QueueId | None = None
