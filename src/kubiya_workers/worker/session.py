"""One registration's time: everything that exists between being registered and leaving, opened and closed in order."""

import asyncio
import contextlib
import resource
import sys
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.client.payloads import HttpObjects, data_converter
from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.workers import Heartbeat, Registered
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.observability import logs
from kubiya_workers.settings.worker import WorkerSettings

from .activities.announce import Announce
from .activities.call_model import CallModel
from .activities.call_tool import CallTool
from .activities.steps import Steps
from .connection import Connection, connect
from .contact import Contact
from .events.uplink import Uplink
from .heartbeat import HeartbeatThread
from .models.client import ModelClient
from .runtime import Runtime
from .tools import Toolbox
from .workspaces import Workspaces

log = logs.get(__name__)

DRAIN_S = 25.0
PROBE_INTERVAL_S = 1.0


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
async def opened(settings: WorkerSettings, registered: Registered, guard: Guard) -> AsyncGenerator[Session]:
    """Connect, poll and beat; on leaving, stop taking work, finish or hand back what runs, and flush.

    Raises:
        Refusal: Temporal cannot be reached, or refuses us.
    """
    logs.add_secrets(registered.worker_token, registered.temporal_api_key or "")
    interval = settings.heartbeat_interval or registered.heartbeat_interval
    contact, ending = Contact(float(interval)), Ending()
    identity = f"{registered.worker_id}@{settings.hostname}"
    async with contextlib.AsyncExitStack() as stack:
        client = ControlPlaneClient(registered.control_plane_url, registered.worker_token)
        await stack.enter_async_context(client)
        converter = data_converter(HttpObjects(client.connection.http))
        connection = await connect(registered, settings.temporal, converter, identity=identity)
        log.info("Connected to Temporal", host=registered.temporal_host, namespace=registered.temporal_namespace)
        models = await stack.enter_async_context(ModelClient(registered.litellm_api_url, registered.litellm_api_key))
        uplink = Uplink(client.connection.http)
        steps = Steps(client, uplink, Workspaces(client, Path.cwd()), float(settings.activity_timeout))
        runtime = _runtime(settings, connection, steps, models, Toolbox(guard))
        stack.push_async_callback(runtime.close)
        await runtime.open()
        contact.polled = time.monotonic()
        await _watched(stack, runtime, connection, contact, steps, ending)
        heartbeat = HeartbeatThread(registered, contact, describe=_describer(contact, steps), on_gone=ending.because)
        heartbeat.start()
        stack.push_async_callback(asyncio.to_thread, heartbeat.stop)
        yield Session(registered, steps, contact, ending)
        log.info("Draining", running=len(steps.tally.running))


def _runtime(
    settings: WorkerSettings, connection: Connection, steps: Steps, models: ModelClient, toolbox: Toolbox
) -> Runtime:
    call_tool = CallTool(steps, toolbox)
    bodies = [
        CallModel(steps, models, override=settings.model).run,
        call_tool.run,
        call_tool.settle,
        Announce(steps).run,
    ]
    return Runtime(
        connection,
        bodies,
        max_activities=settings.max_activities,
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
) -> None:
    watch = asyncio.create_task(_watch(connection, contact, steps, ending), name="contact")
    stack.callback(watch.cancel)
    runtime.failed.add_done_callback(lambda _: ending.because("polling ended"))


async def _watch(connection: Connection, contact: Contact, steps: Steps, ending: Ending) -> None:
    """Keep `contact` true, and act when a lease is over."""
    while True:
        contact.loop = time.monotonic()
        with contextlib.suppress(Unavailable):
            polling = await connection.is_polling()
            contact.temporal = time.monotonic()
            contact.polled = contact.temporal if polling else contact.polled
        now = time.monotonic()
        if contact.temporal_lease_is_over(now) and steps.running.tasks:
            log.error("Running steps given up: Temporal does not answer", seconds=round(now - contact.temporal))
            steps.running.give_up("Temporal did not answer")
        if contact.control_plane_lease_is_over(now):
            ending.because("the control plane does not answer")
        await asyncio.sleep(PROBE_INTERVAL_S)


def _describer(contact: Contact, steps: Steps) -> Callable[[], Heartbeat]:
    """What a heartbeat says, and the `Metrics` line that goes with it."""

    def describe() -> Heartbeat:
        tally, now = steps.tally, time.monotonic()
        memory_mb = _memory_mb()
        log.info(
            "Metrics",
            tasks_completed=tally.completed,
            avg_duration=f"{tally.average_s:.1f}s",
            memory_mb=memory_mb,
            tasks_failed=tally.failed,
            running=len(tally.running),
        )
        return Heartbeat(
            tasks_processed=tally.completed + tally.failed,
            current_task_id=next(iter(tally.running), None),
            worker_metadata={
                "tasks_completed": tally.completed,
                "tasks_failed": tally.failed,
                "running": len(tally.running),
                "memory_mb": memory_mb,
                "loop_lag_s": round(contact.loop_lag(now), 3),
                "poll_age_s": contact.poll_age(now),
            },
        )

    return describe


def _memory_mb() -> int:
    """Peak resident memory of this process; the system counts it in KiB on Linux and in bytes on macOS."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)
