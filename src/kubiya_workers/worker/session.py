"""One registration's time: everything that exists between being registered and leaving, opened and closed in order."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.client.payloads import HttpObjects, data_converter
from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.workers import Heartbeat, Registered, WorkerStatus
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.observability import logs

from .activities.announce import Announce
from .activities.call_model import CallModel
from .activities.call_tool import CallTool
from .activities.steps import Steps
from .connection import Connection, connect
from .contact import Contact
from .events.uplink import Uplink
from .heartbeat import HeartbeatThread
from .metrics import Metrics
from .models.client import ModelClient
from .runtime import Runtime
from .standing import Standing
from .tools import Toolbox
from .workspaces import Workspaces

log = logs.get(__name__)

DRAIN_S = 25.0
PROBE_INTERVAL_S = 1.0
BACKLOG_INTERVAL_S = 15.0


@dataclass(frozen=True)
class Session:
    """A worker that is registered and polls; `ended` is set, with a reason, when it must stop being so."""

    registered: Registered
    steps: Steps
    contact: Contact
    ended: "Ending"


class Ending:
    """Why a session ends before it is told to. Safe to call from the heartbeat's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self.reason = ""

    def because(self, reason: str) -> None:
        self._loop.call_soon_threadsafe(self._set, reason)

    def _set(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()


@contextlib.asynccontextmanager
async def opened(standing: Standing, registered: Registered, guard: Guard, metrics: Metrics) -> AsyncGenerator[Session]:
    """Connect, poll and beat; on leaving, stop taking work, finish or hand back what runs, and flush.

    Raises:
        Refusal: Temporal cannot be reached, or refuses us.
    """
    settings = standing.settings
    logs.add_secrets(registered.worker_token, registered.temporal_api_key or "")
    interval = settings.heartbeat_interval or registered.heartbeat_interval
    contact, ending = Contact(float(interval)), Ending()
    standing.registered_as(registered, contact)
    identity = f"{registered.worker_id}@{settings.hostname}"
    async with contextlib.AsyncExitStack() as stack:
        client = ControlPlaneClient(registered.control_plane_url, registered.worker_token)
        await stack.enter_async_context(client)
        converter = data_converter(HttpObjects(client.connection.http))
        measured = settings.metrics_port is not None
        connection = await connect(registered, settings.temporal, converter, identity=identity, measured=measured)
        log.info("Connected to Temporal", host=registered.temporal_host, namespace=registered.temporal_namespace)
        models = await stack.enter_async_context(ModelClient(registered.litellm_api_url, registered.litellm_api_key))
        uplink = Uplink(client.connection.http, counts=metrics)
        standing.events_waiting = lambda: uplink.waiting
        workspaces = Workspaces(client, Path.cwd())
        steps = Steps(
            client, uplink, workspaces, float(settings.activity_timeout), tally=standing.tally, metrics=metrics
        )
        runtime = _runtime(standing, connection, steps, models, Toolbox(guard))
        stack.push_async_callback(runtime.close)
        await runtime.open()
        contact.polled = standing.polling_since = time.monotonic()
        await _watched(stack, runtime, connection, contact, steps, ending, standing)
        heartbeat = HeartbeatThread(
            registered,
            contact,
            standing,
            describe=_describer(contact, standing),
            on_gone=ending.because,
            metrics=metrics,
        )
        heartbeat.start()
        stack.push_async_callback(asyncio.to_thread, heartbeat.stop)
        yield Session(registered, steps, contact, ending)
        standing.draining = True
        log.info("Draining", running=len(steps.tally.running))


def _runtime(
    standing: Standing, connection: Connection, steps: Steps, models: ModelClient, toolbox: Toolbox
) -> Runtime:
    settings, call_tool = standing.settings, CallTool(steps, toolbox)
    bodies = [
        CallModel(steps, models, override=settings.model).run,
        call_tool.run,
        call_tool.settle,
        Announce(steps).run,
    ]
    return Runtime(
        connection,
        bodies,
        max_activities=standing.slots,
        max_workflows=settings.max_workflows,
        drain_s=DRAIN_S,
    )


async def _watched(
    stack: contextlib.AsyncExitStack,
    runtime: Runtime,
    connection: Connection,
    contact: Contact,
    steps: Steps,
    ending: Ending,
    standing: Standing,
) -> None:
    for work in (_watch(connection, contact, steps, ending), _watch_backlog(connection, standing, steps.metrics)):
        stack.callback(asyncio.create_task(work, name="contact").cancel)
    runtime.failed.add_done_callback(lambda _: ending.because("polling ended"))


async def _watch(connection: Connection, contact: Contact, steps: Steps, ending: Ending) -> None:
    """Keep `contact` true, and act when a lease is over."""
    while True:
        contact.loop = time.monotonic()
        try:
            polling = await connection.is_polling()
        except Unavailable:
            steps.metrics.probed("no_answer")
        else:
            steps.metrics.probed("polling" if polling else "not_polling")
            contact.temporal = time.monotonic()
            contact.polled = contact.temporal if polling else contact.polled
        now = time.monotonic()
        if contact.temporal_lease_is_over(now) and steps.running.tasks:
            log.error("Running steps given up: Temporal does not answer", seconds=round(now - contact.temporal))
            steps.running.give_up("Temporal did not answer")
        if contact.control_plane_lease_is_over(now):
            ending.because("the control plane does not answer")
        await asyncio.sleep(PROBE_INTERVAL_S)


async def _watch_backlog(connection: Connection, standing: Standing, metrics: Metrics) -> None:
    while True:
        with contextlib.suppress(Unavailable):
            backlog = await connection.backlog()
            standing.backlog = sum(waiting.tasks for waiting in backlog.values())
            metrics.backlog(standing.queue_name, backlog)
        await asyncio.sleep(BACKLOG_INTERVAL_S)


def _describer(contact: Contact, standing: Standing) -> Callable[[], Heartbeat]:
    """What a heartbeat says, and the `Metrics` line that goes with it."""

    def describe() -> Heartbeat:
        tally, now = standing.tally, time.monotonic()
        memory_mb = standing.own_memory() // 1024**2
        log.info(
            "Metrics",
            tasks_completed=tally.completed,
            avg_duration=f"{tally.average_s:.1f}s",
            memory_mb=memory_mb,
            tasks_failed=tally.failed,
            running=len(tally.running),
            kind="metrics",  # people look for the lines by this word
        )
        return Heartbeat(
            status=WorkerStatus.DRAINING if standing.draining else WorkerStatus.ACTIVE,
            tasks_processed=tally.completed + tally.failed,
            current_task_id=next(iter(tally.running), None),
            worker_metadata={
                "tasks_completed": tally.completed,
                "tasks_failed": tally.failed,
                "running": len(tally.running),
                "slots_used": tally.steps,
                "slots": standing.slots,
                "backlog": standing.backlog,
                "memory_mb": memory_mb,
                "loop_lag_s": round(contact.loop_lag(now), 3),
                "poll_age_s": contact.poll_age(now),
            },
        )

    return describe
