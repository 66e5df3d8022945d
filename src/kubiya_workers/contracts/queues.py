"""Worker queues: a queue is a Temporal task queue that workers poll."""

from typing import Annotated, Any, cast

from pydantic import AfterValidator, Field

from .ids import EnvironmentId, ExecutionId, QueueId
from .wire import JsonObject, Timestamp, Wire

ENABLE_LOCAL_PROXY, LITELLM_CONFIG = "enable_local_litellm_proxy", "litellm_config"


def proxy_config(settings: JsonObject) -> JsonObject | str | None:
    """The configuration of the LiteLLM that a queue wants beside its workers; None when it wants none.

    Raises:
        ValueError: what its settings say of it contradicts itself.
    """
    enabled, config = settings.get(ENABLE_LOCAL_PROXY), settings.get(LITELLM_CONFIG)
    if enabled is not None and not isinstance(enabled, bool):
        raise ValueError(f"{ENABLE_LOCAL_PROXY} is true or false")
    if not isinstance(config, dict | str | None):
        raise ValueError(f"{LITELLM_CONFIG} is a LiteLLM configuration: an object, or YAML or JSON as text")
    if enabled and not config:
        raise ValueError(f"{ENABLE_LOCAL_PROXY} needs a {LITELLM_CONFIG}")
    return cast("JsonObject | str | None", config) if enabled else None


def _consistent(settings: JsonObject) -> JsonObject:
    proxy_config(settings)
    return settings


QueueSettings = Annotated[JsonObject, AfterValidator(_consistent)]
"""Free, but for `enable_local_litellm_proxy` and `litellm_config`, which workers heed."""


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
    settings: QueueSettings = {}
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
    settings: QueueSettings | None = None
    auto_cleanup_after_seconds: int | None = Field(default=None, ge=0)

    def changes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class QueueBacklog(Wire):
    """What waits in a queue to be taken by a worker; `has_worker` tells whether any lives there."""

    queue: str
    executions: int
    has_worker: bool
