"""What this process can say of itself at any moment: the source of `/status`, of heartbeats and of metrics."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import psutil

import kubiya_workers
from kubiya_workers.contracts.pool import Pause, Slots, WorkerReport
from kubiya_workers.contracts.workers import Registered, WorkerStatus
from kubiya_workers.settings.worker import WorkerSettings

from .contact import Contact
from .limits import Done
from .tally import Tally


@dataclass(frozen=True)
class Closed:
    """Why nothing is taken; `pause` where a person wanted it so, `for_memory` while there is too little."""

    reason: str
    pause: Pause | None = None
    for_memory: bool = False


@dataclass
class Standing:
    """Written by the session and the heartbeat, one writer a field; read by the health server's threads."""

    settings: WorkerSettings
    slots: int
    """Calls at once: what was asked for, or what fits."""
    tally: Tally = field(default_factory=Tally)
    registered: Registered | None = None
    contact: Contact | None = None
    events_waiting: Callable[[], int] = int
    draining: bool = False
    closed: Closed | None = None
    backlog: int | None = None
    heartbeats_failed: int = 0
    last_heartbeat: float | None = None
    metrics_url: str | None = None
    polling_since: float | None = None
    """When the present session began to poll."""
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first answer means nothing: from here on it is since the last question

    def registered_as(self, registered: Registered, contact: Contact) -> None:
        self.registered, self.contact, self.draining, self.closed = registered, contact, False, None

    def polls(self) -> None:
        """The server has just seen us poll."""
        assert self.contact is not None, "registered first"
        self.contact.polled = self.polling_since = time.monotonic()

    def polls_not(self) -> None:
        """Nobody is to expect us to."""
        if self.contact is not None:
            self.contact.polled = None

    @property
    def means_to_poll(self) -> bool:
        return self.closed is None and not self.draining

    @property
    def status(self) -> WorkerStatus:
        if self.draining:
            return WorkerStatus.DRAINING
        return WorkerStatus.PAUSED if self.closed else WorkerStatus.ACTIVE

    def beat_taken(self) -> None:
        self.last_heartbeat = time.monotonic()

    @property
    def queue_name(self) -> str:
        """The queue, as people call it."""
        return self.registered.queue_name if self.registered else self.settings.queue

    def report(self) -> WorkerReport:
        now, moment = time.monotonic(), datetime.now(UTC)
        registered, contact = self.registered, self.contact

        def at(then: float | None) -> datetime | None:
            return None if then is None else moment - timedelta(seconds=now - then)

        reason = self.why_not_ready(now)
        return WorkerReport(
            worker_id=registered.worker_id if registered else None,
            queue=self.queue_name,
            queue_id=registered.queue_id if registered else None,
            hostname=self.settings.hostname,
            pid=os.getpid(),
            version=kubiya_workers.__version__,
            status=self.status,
            ready=reason is None,
            taking=reason is None,
            reason=reason,
            started_at=moment - timedelta(seconds=now - self.started),
            uptime_s=now - self.started,
            activities=Slots(used=self.tally.steps, total=self.slots),
            workflows=Slots(total=self.settings.max_workflows),
            executions=tuple(self.tally.running),
            tasks_completed=self.tally.completed,
            tasks_failed=self.tally.failed,
            average_task_s=self.tally.average_s,
            last_poll=at(contact.polled) if contact else None,
            last_heartbeat=at(self.last_heartbeat),
            heartbeats_failed=self.heartbeats_failed,
            events_waiting=self.events_waiting(),
            memory=self.memory_with_tools(),
            memory_limit=self.settings.memory_limit or None,
            cpu_percent=self._process.cpu_percent(),
            backlog=self.backlog,
            control_plane_url=registered.control_plane_url if registered else self.settings.url,
            temporal_host=registered.temporal_host if registered else None,
            metrics=self.metrics_url,
            pause=self.closed.pause if self.closed else None,
        )

    def done(self) -> Done:
        """What it has done so far; idle since its last step ended, or since it began to poll."""
        now, tally = time.monotonic(), self.tally
        polling_since = self.polling_since if self.polling_since is not None else now
        return Done(
            tasks=tally.completed + tally.failed,
            running=tally.steps,
            uptime=now - self.started,
            # One that may not work is not idle.
            idle=0.0 if self.closed else now - max(tally.last_end or 0.0, polling_since),
        )

    def why_not_ready(self, now: float) -> str | None:
        """Why it takes no work; None when it does."""
        if self.draining:
            return "draining"
        if self.registered is None or self.contact is None:
            return "not registered yet"
        if self.closed is not None:
            return self.closed.reason
        if self.contact.polled is None:
            return "Temporal has not seen it poll yet"
        if self.contact.is_deaf(now):
            return f"Temporal has not seen it poll for {now - self.contact.polled:.0f} s"
        return None

    def own_memory(self) -> int:
        """Resident bytes of this process."""
        return self._process.memory_info().rss

    def memory_with_tools(self) -> int:
        """Resident bytes of this process and all below it."""
        total = self.own_memory()
        for child in self._process.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.Error:  # it has ended
                continue
        return total
