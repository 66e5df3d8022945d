"""What a control plane process is made of, put together in the order in which the parts need each other.

    database → keys and seeds → gateway → event log → Temporal → executions, reconciler → HTTP

They are ended in reverse order. This is the one place that knows both the control plane and the gateway beside it.
"""

import functools
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from fastapi import APIRouter
from starlette.types import ASGIApp

from kubiya_workers.console.door import Names
from kubiya_workers.contracts.keys import Caller, Scope
from kubiya_workers.control_plane.app import build
from kubiya_workers.control_plane.auth import Auth, check_scope
from kubiya_workers.control_plane.deps import ControlPlane, TemporalAddress
from kubiya_workers.control_plane.engine.temporal import TemporalEngine
from kubiya_workers.control_plane.events.log import EventLog
from kubiya_workers.control_plane.jobs.firing import Firings
from kubiya_workers.control_plane.jobs.loop import JobClock
from kubiya_workers.control_plane.metrics import Metrics
from kubiya_workers.control_plane.on_demand.care import Parts
from kubiya_workers.control_plane.on_demand.loop import OnDemand
from kubiya_workers.control_plane.planning.planner import Planner
from kubiya_workers.control_plane.reconcile import Reconciler
from kubiya_workers.control_plane.retention import Retention
from kubiya_workers.control_plane.routes import executions as execution_routes
from kubiya_workers.control_plane.routes import jobs as job_routes
from kubiya_workers.control_plane.routes import plans, streams
from kubiya_workers.control_plane.services import keys, seeds
from kubiya_workers.control_plane.services.executions import Executions
from kubiya_workers.control_plane.services.jobs import Jobs
from kubiya_workers.control_plane.services.models import recall_default
from kubiya_workers.control_plane.services.objects import ObjectStore
from kubiya_workers.control_plane.services.submitting import Submitting
from kubiya_workers.control_plane.services.usage import Budgets
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.control_plane.tracing import Collector, Tracing
from kubiya_workers.gateway.app import Gateway, router
from kubiya_workers.gateway.config import upstreams_of
from kubiya_workers.launchers import state
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.launchers.on_demand.choice import provisioner
from kubiya_workers.launchers.ports import LOOPBACK
from kubiya_workers.launchers.serving.server import Door, address, served
from kubiya_workers.launchers.spec import ConfiguredModels
from kubiya_workers.settings.server import ServerSettings, TemporalSettings

from .fleet import web_interface
from .lifetime import Entrance, Temporal
from .meter import CallMeter
from .planning import OwnGateway


@dataclass(frozen=True)
class Running:
    """Where the control plane answers, and the admin key if this start made it. With TLS, `url` is on loopback."""

    url: str
    tls_url: str
    temporal: str
    first_key: str | None = field(repr=False)


@asynccontextmanager
async def control_plane(
    settings: ServerSettings, temporal: Temporal, models: ConfiguredModels | None, entrance: Entrance, guard: Guard
) -> AsyncGenerator[Running, None]:
    """A control plane that serves at `entrance` for as long as the context lasts; `guard` is this process's.

    Raises:
        Refusal, BadSetting: a part cannot be had; the reason names it.
    """
    async with AsyncExitStack() as stack:
        database = await Database.open(settings.database_url, settings.paths.database)
        stack.push_async_callback(database.close)
        first = await keys.ensure_admin(database, settings.paths, settings.accepted_key)
        await seeds.seed(database)
        gateway = Gateway(settings.gateway, upstreams_of(settings.gateway, models))
        await _kept(stack, gateway)
        metrics = Metrics(settings.paths.server)
        log = EventLog(database, counts=metrics)
        await _kept(stack, log)
        objects = ObjectStore(settings.paths.objects)
        reached = await _reached(settings.temporal, temporal)
        engine = await TemporalEngine.connect(reached, objects, watched=temporal.check)
        executions = Executions(database, log, engine, metrics)
        auth = Auth(database)
        await _kept(stack, auth.uses)
        recall = functools.partial(recall_default, database, gateway.catalogue)
        await recall()
        reconciler = Reconciler(database, executions, engine, auth, also=recall)
        await _kept(stack, reconciler)
        await _kept(stack, Retention(database, objects, settings.keep_executions))
        if settings.traces.on:
            executions.on_end.append(await _traced(stack, settings, database, log))
        plane = ControlPlane(
            settings=settings,
            database=database,
            log=log,
            engine=engine,
            temporal=_for_workers(reached, embedded=temporal.address is not None),
            objects=objects,
            models=gateway.catalogue,
            auth=auth,
            metrics=metrics,
            tls=entrance.certificate.check if entrance.certificate else None,
        )
        url, tls_url = _addresses(settings.host, entrance)
        submit = Submitting(executions, database, gateway.catalogue, settings.on_demand.is_on)
        clock, jobs = _jobs(plane, submit, tls_url or url)
        planner = plans.router(Planner(database, gateway.catalogue, OwnGateway(auth, url)))
        routers = (streams.router(executions.record), execution_routes.router(executions, submit), jobs, planner)
        app = build(plane, routers=routers, mounts={"/v1": _model_calls(gateway, plane)})
        pages = await stack.enter_async_context(web_interface(app, plane, url, _names(settings, entrance)))
        stop = functools.partial(_all, (log.hub.close, plane.waiting.close, pages))
        await stack.enter_async_context(served(app, *_doors(entrance), before_stop=stop, websockets=True))
        if settings.on_demand.is_on:
            # After HTTP, and so ended before it: workers that go hand back what they have.
            on_demand = _on_demand(settings, guard, database, executions, auth, url)
            executions.on_demand = on_demand.wake
            executions.on_end.append(on_demand.told_of_an_end)
            await _kept(stack, on_demand)
        await _kept(stack, clock)
        yield Running(url, tls_url, reached.host or "", first.created)


class _Part(Protocol):
    async def start(self) -> None: ...
    async def close(self) -> None: ...


async def _kept(stack: AsyncExitStack, part: _Part) -> None:
    """Start it, and close it with the rest: also when its start fails half-way."""
    stack.push_async_callback(part.close)
    await part.start()


def _doors(entrance: Entrance) -> list[Door]:
    if entrance.certificate is None or entrance.local is None:
        return [Door(entrance.listener)]
    return [Door(entrance.listener, entrance.certificate.context), Door(entrance.local)]


def _addresses(host: str, entrance: Entrance) -> tuple[str, str]:
    """For this machine, and, where TLS is spoken, for everybody."""
    if entrance.certificate is None or entrance.local is None:
        return address(host, entrance.listener), ""
    named = address(entrance.certificate.name or host, entrance.listener, scheme="https")
    return address(LOOPBACK, entrance.local), named


def _names(settings: ServerSettings, entrance: Entrance) -> Names:
    """By which a browser reaches us: loopback's, those that are allowed, and our own."""
    certified = entrance.certificate.name if entrance.certificate else None
    return Names(settings.web.allowed_hosts, tuple(name.lower() for name in (settings.host, certified) if name))


def _all(calls: Sequence[Callable[[], object]]) -> None:
    for call in calls:
        call()


def _on_demand(
    settings: ServerSettings, guard: Guard, database: Database, executions: Executions, auth: Auth, url: str
) -> OnDemand:
    owner = state.instance(settings.paths)
    made = provisioner(settings.on_demand.kind, settings.paths, guard, owner)
    parts = Parts(database, executions, auth, made, settings.on_demand.url or url)
    return OnDemand(parts, settings.on_demand, owner, settings.paths.server_users)


def _jobs(plane: ControlPlane, submit: Submitting, url: str) -> tuple[JobClock, APIRouter]:
    """What fires jobs, which is not started yet, and their routes; `url` is where senders reach us."""
    firings = Firings(plane.database, plane.auth, submit, plane.metrics, state.instance(plane.settings.paths))
    clock = JobClock(plane.database, firings)
    jobs = Jobs(plane.database, plane.settings.on_demand.url or url, clock.wake)
    return clock, job_routes.router(jobs, firings, submit.executions)


def _model_calls(gateway: Gateway, plane: ControlPlane) -> ASGIApp:
    meter = CallMeter(Budgets(plane.database), gateway.catalogue, plane.metrics)
    return router(gateway, functools.partial(_model_caller, plane.auth), meter)


async def _model_caller(auth: Auth, key: str) -> Caller:
    """Who calls a model.

    Raises:
        Unauthorized, Forbidden: the key is not known, or may only read.
    """
    caller = await auth.authenticate_key(key)
    check_scope(caller, frozenset({Scope.CLIENT, Scope.WORKER}))
    return caller


async def _traced(
    stack: AsyncExitStack, settings: ServerSettings, database: Database, log: EventLog
) -> Callable[[], None]:
    """Runs are sent as traces until the stack is unwound; what to call when one has ended."""
    tracing = Tracing(database, log, _collector, with_content=settings.traces.with_content)
    stack.push_async_callback(tracing.close)
    await tracing.start()
    return tracing.wake


def _collector() -> Collector:
    from kubiya_workers.observability.otlp import Exporter  # OpenTelemetry is loaded only where it is used

    return Exporter()


async def _reached(settings: TemporalSettings, temporal: Temporal) -> TemporalSettings:
    """Where Temporal is, once an embedded one answers."""
    return settings if temporal.address is None else replace(settings, host=await temporal.address)


def _for_workers(settings: TemporalSettings, *, embedded: bool) -> TemporalAddress:
    assert settings.host is not None  # known since it was reached
    tunnel = embedded or settings.tunnel
    return TemporalAddress(settings.host, settings.namespace, settings.worker_api_key, settings.tls, tunnel)
