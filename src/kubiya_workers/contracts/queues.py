"""Worker queues: a queue is a Temporal task queue that workers poll."""

from typing import Any

from pydantic import Field

from .ids import EnvironmentId, ExecutionId, QueueId
from .wire import JsonObject, Timestamp, Wire


class Queue(Wire):
    """`active_workers` counts workers that are live now, `paused_workers` those of them that take nothing.

    `lost_workers` counts those of the last hour whose host has no live worker on the queue now, and
    `crash_looping_workers` the hosts whose worker crashes again and again. The last four settings are honoured by
    worker and server.
    """

    id: QueueId
    environment_id: EnvironmentId
    name: str
    display_name: str | None = None
    description: str | None = None
    status: str = "active"
    max_workers: int | None = None
    heartbeat_interval: int = 30
    tags: tuple[str, ...] = ()
    settings: JsonObject = {}
    active_workers: int = 0
    paused_workers: int = 0
    lost_workers: int = 0
    crash_looping_workers: int = 0
    task_queue_name: str
    ephemeral: bool = False
    single_execution_mode: bool = False
    auto_cleanup_after_seconds: int | None = None
    parent_execution_id: ExecutionId | None = None
    created_at: Timestamp
    updated_at: Timestamp


class NewQueue(Wire):
    name: str
    display_name: str | None = None
    description: str | None = None
    max_workers: int | None = Field(default=None, ge=1)
    heartbeat_interval: int = Field(default=30, ge=1, le=300)
    tags: tuple[str, ...] = ()
    settings: JsonObject = {}
    ephemeral: bool = False
    single_execution_mode: bool = False
    auto_cleanup_after_seconds: int | None = Field(default=None, ge=0)
    parent_execution_id: ExecutionId | None = None


class QueuePatch(Wire):
    display_name: str | None = None
    description: str | None = None
    status: str | None = None
    max_workers: int | None = Field(default=None, ge=1)
    heartbeat_interval: int | None = Field(default=None, ge=1, le=300)
    tags: tuple[str, ...] | None = None
    settings: JsonObject | None = None
    auto_cleanup_after_seconds: int | None = Field(default=None, ge=0)

    def changes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)
