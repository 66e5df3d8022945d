"""What a registration made, before a route shapes it for the worker."""

from dataclasses import dataclass, field

from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.workers import Worker


@dataclass(frozen=True)
class Enrolled:
    """`heartbeat_interval` is in seconds; `token` is shown to the worker and kept nowhere."""

    worker: Worker
    token: str = field(repr=False)
    queue: Queue
    environment_name: str
    heartbeat_interval: int
