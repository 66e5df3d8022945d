"""One registration's time: everything that exists between being registered and leaving, opened and closed in order."""

import asyncio
import contextlib
import functools
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.converter import DataConverter
from temporalio.service import HttpConnectProxyConfig

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.client.payloads import HttpObjects, data_converter
from kubiya_workers.contracts.errors import NotFound, Refusal, Unavailable
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.workers import CAN, REPORT, Heartbeat, Registered
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.observability import logs
from kubiya_workers.settings.source import Source
from kubiya_workers.settings.worker import WorkerSettings

from .activities.announce import Announce
from .activities.call_model import CallModel
from .activities.call_tool import CallTool
from .activities.delegate import Delegate
from .activities.list_tools import ListTools
from .activities.steps import Steps
from .connection import Connection, connect
from .contact import Contact
from .events.uplink import Uplink
from .heartbeat import HeartbeatThread
from .intake import Intake
from .metrics import Metrics
from .models.client import ModelClient
from .passage import way_to_temporal
from .runtime import Runtime
from .standing import Standing
from .tools import Toolbox
from .tools.mcp import Servers
from .wishes import Wishes
from .workspaces import Workspaces

log = logs.get(__name__)

PROBE_INTERVAL_S = 1.0
BACKLOG_INTERVAL_S = 15.0

Body = Callable[..., Any]


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
async def opened(
    standing: Standing, registered: Registered, guard: Guard, metrics: Metrics, wishes: Wishes
) -> AsyncGenerator[Session]:
    """Connect, poll and beat; on leaving, stop taking work, finish or hand back what runs, and flush.

    Raises:
        Refusal: Temporal cannot be reached, or refuses us.
    """
    settings = standing.settings
    logs.add_secrets(registered.worker_token, registered.temporal_api_key or "")
    contact, ending = Contact(float(settings.heartbeat_interval or registered.heartbeat_interval)), Ending()
    standing.registered_as(registered, contact)
    async with contextlib.AsyncExitStack() as stack:
        client = ControlPlaneClient(registered.control_plane_url, registered.worker_token)
        await stack.enter_async_context(client)
        steps = _steps(standing, client, metrics)
        through = await stack.enter_async_context(way_to_temporal(registered, settings.temporal.proxies))
        converter = data_converter(HttpObjects(client.connection.http))
        polls = _Polls(standing, registered, converter, through, metrics)
        connection = await polls.connect()
        log.info("Connected to Temporal", host=registered.temporal_host, namespace=registered.temporal_namespace)
        models = await stack.enter_async_context(ModelClient(registered.litellm_api_url, registered.litellm_api_key))
        servers = _servers(settings, guard)
        polls.bodies = _bodies(settings, steps, models, Toolbox(guard, servers=servers), servers)
        heartbeat = _heartbeat(standing, registered, contact, ending, metrics, wishes)
        intake = Intake(standing, steps.running, polls.open, changed=heartbeat.beat_now, failed=ending.because)
        # What is put on the stack last is left first: what runs is drained while it is still watched, and we beat.
        heartbeat.start()
        stack.push_async_callback(asyncio.to_thread, heartbeat.stop)
        _aside(stack, _watch(connection, intake, contact, steps, ending, standing))
        _aside(stack, _watch_backlog(connection, standing, metrics))
        stack.push_async_callback(servers.close)
        _aside(stack, servers.mind(functools.partial(_is_over, client)))
        stack.push_async_callback(intake.close)
        await intake.open()
        _aside(stack, intake.mind())
        try:
            yield Session(registered, steps, contact, ending)
        finally:
            standing.draining = True
            heartbeat.beat_now()
            log.info("Draining", running=len(steps.tally.running))


def _steps(standing: Standing, client: ControlPlaneClient, metrics: Metrics) -> Steps:
    uplink = Uplink(client.connection.http, counts=metrics)
    standing.events_waiting = lambda: uplink.waiting
    limit = float(standing.settings.activity_timeout)
    return Steps(client, uplink, Workspaces(client, Path.cwd()), limit, tally=standing.tally, metrics=metrics)


def _servers(settings: WorkerSettings, guard: Guard) -> Servers:
    return Servers(
        guard,
        base=Source.of_process().environ,
        proxies=settings.temporal.proxies,
        most=settings.mcp_max_servers,
        idle_s=settings.mcp_idle_timeout,
    )


async def _is_over(client: ControlPlaneClient, execution_id: ExecutionId) -> bool:
    try:
        return (await client.executions.get(execution_id)).status.is_terminal
    except NotFound:
        return True
    except Refusal:
        return False  # nobody can say so now


def _bodies(
    settings: WorkerSettings, steps: Steps, models: ModelClient, toolbox: Toolbox, servers: Servers
) -> Sequence[Body]:
    call_tool = CallTool(steps, toolbox)
    return (
        CallModel(steps, models, override=settings.model, default=settings.gateway_model).run,
        call_tool.run,
        call_tool.settle,
        ListTools(steps, servers).run,
        Delegate(steps).run,
        Announce(steps).run,
    )


def _heartbeat(
    standing: Standing, registered: Registered, contact: Contact, ending: Ending, metrics: Metrics, wishes: Wishes
) -> HeartbeatThread:
    return HeartbeatThread(
        registered,
        contact,
        standing,
        describe=_describer(contact, standing, wishes),
        on_gone=ending.because,
        on_wish=wishes.take,
        metrics=metrics,
    )


def _aside(stack: contextlib.AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Run it beside the session, until the stack is unwound to here."""
    stack.callback(asyncio.create_task(work).cancel)


class _Polls:
    """Opens what polls, each time with a connection and a name of its own: a paused worker may still finish what it
    has when it is resumed, and the server must not take its old polls for the new ones."""

    def __init__(
        self,
        standing: Standing,
        registered: Registered,
        converter: DataConverter,
        through: HttpConnectProxyConfig | None,
        metrics: Metrics,
    ) -> None:
        self._through = through
        self._metrics = metrics
        self._standing = standing
        self._registered = registered
        self._converter = converter
        self._made = 0
        self._unused: Connection | None = None
        self.bodies: Sequence[Body] = ()

    async def connect(self) -> Connection:
        settings, again = self._standing.settings, f"#{self._made}" if self._made else ""
        self._made += 1
        self._unused = await connect(
            self._registered,
            settings.temporal,
            self._converter,
            identity=f"{self._registered.worker_id}@{settings.hostname}{again}",
            through=self._through,
            measured=settings.metrics_port is not None,
        )
        return self._unused

    async def open(self) -> Runtime:
        """Raises Refusal when it cannot connect, or is not seen to poll."""
        connection, self._unused = self._unused or await self.connect(), None
        runtime = Runtime(
            connection,
            self.bodies,
            max_activities=self._standing.slots,
            max_workflows=self._standing.settings.max_workflows,
        )
        try:
            await runtime.open()
        except BaseException:
            await runtime.close()
            raise
        self._metrics.probed("polling")
        return runtime


async def _watch(
    connection: Connection, intake: Intake, contact: Contact, steps: Steps, ending: Ending, standing: Standing
) -> None:
    """Keep `contact` true, and act when a lease is over."""
    while True:
        try:
            polling = await intake.is_polling()
            if polling is None:
                await connection.is_polling()  # only whether it answers
        except Unavailable:
            steps.metrics.probed("no_answer")
        else:
            if polling is not None:
                steps.metrics.probed("polling" if polling else "not_polling")
            contact.temporal = time.monotonic()
            if polling and standing.means_to_poll:
                contact.polled = contact.temporal
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


def _describer(contact: Contact, standing: Standing, wishes: Wishes) -> Callable[[], Heartbeat]:
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
            status=standing.status,
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
                "pause_note": standing.closed.reason if standing.closed else None,
                CAN: list(wishes.can(paused=standing.closed is not None and standing.closed.pause is not None)),
                REPORT: standing.report().model_dump(mode="json"),
            },
            heard=wishes.heard,
        )

    return describe
