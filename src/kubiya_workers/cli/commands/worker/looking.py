"""`kubiya worker status|list`."""

import asyncio
from datetime import UTC, datetime

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import NotFound, Refusal
from kubiya_workers.contracts.pool import Listed, Record, Seen, UpkeepState, WorkerReport
from kubiya_workers.contracts.workers import Worker
from kubiya_workers.launchers import server
from kubiya_workers.launchers.upkeep import daemon, listing, pauses, records
from kubiya_workers.launchers.upkeep.asking import report_of
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.quantities import show_size

from ... import talk
from ...ages import age, duration
from ...connect import reach, settings
from ...exit import Exit
from ...output import Fields, Format, details, output_option, show, show_list
from ...running import run
from ..paging import paged
from . import in_docker, in_kubernetes
from .placing import Place, place_options
from .words import queue_option

_HEADS = ("QUEUE", "TYPE", "STATE", "HOST", "PID", "UPTIME", "RESTARTS", "TASKS", "WORKER")
_LATELY = 5


@click.command()
@queue_option
@place_options
@output_option
def status(queue: str, place: Place, output: Format) -> int:
    """Show how the worker of a queue is, and why none runs when none does.

    Those that were installed in a cluster from here are shown, too; those that others installed, where the place is
    said. Exit status 0 when one runs, on this machine or elsewhere, else 1.
    """
    seen = run(_look(settings(), queue, place))
    show(seen, output, _text)
    return Exit.DONE if seen.running else Exit.FAILED


@click.command("list")
@click.option("--all", "everywhere", is_flag=True, help="Those that the control plane knows, too.")
@click.option("--queue-id", "--queue", "queue", help="Only those of this queue.")
@place_options
@paged
@output_option
def list_(everywhere: bool, queue: str | None, place: Place, output: Format, skip: int, limit: int) -> None:
    """List the workers of this machine, those installed in a cluster from here and, with --all, of the control plane.

    Where a place in a cluster is said, all that is installed there is listed.
    """
    found = run(_listed(settings(), everywhere, place, skip, limit))
    wanted = [worker for worker in found if queue in (None, worker.queue)]
    none = "No workers." if everywhere else "No worker was started on this machine. Others are listed with --all."
    show_list(wanted, output, _HEADS, _row, none=none)


async def _look(known: ClientSettings, queue: str, place: Place) -> Seen:
    seen, installed = await asyncio.gather(_look_here(known, queue), in_kubernetes.look(known.paths, queue, place))
    if installed is None:
        return seen
    if isinstance(installed, str):
        talk.note(f"The cluster was not asked: {installed}")
        return seen
    here = seen.record is not None and not seen.record.state.is_over
    why = seen.why if here else in_kubernetes.why(installed)
    # The control plane tells of the same workers as of others, and a little later.
    return seen.model_copy(update={"installed": installed, "running": seen.running or installed.ready > 0, "why": why})


async def _look_here(known: ClientSettings, queue: str) -> Seen:
    if (found := await in_docker.look(known.paths, queue)) is not None:
        elsewhere = await _elsewhere(known, queue, found.record)
        live = any(worker.status.is_live for worker in elsewhere or ())
        others = None if elsewhere is None else tuple(elsewhere)
        return found.model_copy(update={"running": found.running or live, "elsewhere": others})
    record = daemon.settle(known.paths, queue)
    report = await report_of(record)
    here = record is not None and record.state is UpkeepState.RUNNING
    elsewhere = await _elsewhere(known, queue, record)
    return Seen(
        queue=queue,
        running=here or any(worker.status.is_live for worker in elsewhere or ()),
        why=None if here else _why(record),
        record=record,
        report=report,
        pause=pauses.read(known.paths, queue),
        elsewhere=None if elsewhere is None else tuple(elsewhere),
    )


def _why(record: Record | None) -> str:
    if record is None:
        return "none was ever started on this machine"
    return f"{record.state}: {record.reason}" if record.reason else str(record.state)


async def _elsewhere(known: ClientSettings, queue: str, record: Record | None) -> list[Worker] | None:
    """The queue's other workers that live, or, when none does here either, those that were seen last.

    No control plane is started only to be asked.
    """
    if known.url is None and server.status(known.paths) is None:
        return None
    own = record.worker_id if record else None
    try:
        async with reach(known, talk.note) as reached:
            workers = await reached.client.queues.workers(queue)
    except NotFound:
        return []
    except Refusal as error:
        talk.note(f"The control plane was not asked: {error.detail}")
        return None
    others = [worker for worker in workers if worker.id != own]
    live = [worker for worker in others if worker.status.is_live]
    if live or (record is not None and record.state is UpkeepState.RUNNING):
        return live
    return sorted(others, key=_last_seen, reverse=True)[:_LATELY]


def _last_seen(worker: Worker) -> datetime:
    return worker.disconnected_at or worker.last_heartbeat


async def _listed(known: ClientSettings, everywhere: bool, place: Place, skip: int, limit: int) -> list[Listed]:
    kept = records.all_(known.paths)
    reports = await asyncio.gather(*map(report_of, kept))
    here = [listing.here(record, report) for record, report in zip(kept, reports, strict=True)]
    here += await in_docker.listed(known.paths)
    here += await in_kubernetes.listed(known.paths, place)
    if not everywhere:
        return here
    async with reach(known, talk.note) as reached:
        return [*here, *await _there(reached.client, {worker.worker_id for worker in here}, skip, limit)]


async def _there(client: ControlPlaneClient, known: set[str | None], skip: int, limit: int) -> list[Listed]:
    workers = await client.workers.list(skip=skip, limit=limit)
    return [listing.elsewhere(worker) for worker in workers if worker.id not in known]


def _row(worker: Listed) -> tuple[object, ...]:
    return (
        worker.queue,
        worker.type,
        worker.state,
        worker.hostname,
        worker.pid,
        age(worker.started_at),
        worker.restarts,
        worker.tasks,
        worker.worker_id,
    )


def _text(seen: Seen) -> str:
    parts = [_headline(seen)]
    if seen.installed is not None:
        parts.append(details(in_kubernetes.described(seen.installed)))
    if seen.record is not None or seen.container is not None:
        kept = _kept(seen.record, here=seen.container is None) if seen.record else ()
        parts.append(details((*in_docker.described(seen.container), *kept, *_said(seen.report), *_paused(seen))))
    elif not seen.running and seen.installed is None:
        parts.append(f"Start one: kubiya worker start --queue-id={seen.queue} --type=local")
    if seen.elsewhere:
        parts.append("\n".join(("Others of this queue:", *map(_other, seen.elsewhere))))
    return "\n".join(parts)


def _headline(seen: Seen) -> str:
    if seen.report is not None and seen.report.pause is not None:
        return f"The worker of queue {seen.queue} is running, and paused."
    if seen.why is None:
        return f"The worker of queue {seen.queue} is running."
    where = "here, but elsewhere" if seen.running else ""
    return f"The worker of queue {seen.queue} is not running {where}".rstrip() + f": {seen.why}"


def _kept(record: Record, *, here: bool) -> Fields:
    last, over = record.last_restart, record.state.is_over
    yield "State", record.state
    yield "Worker", f"PID {record.worker.pid}, up {age(record.worker_started_at)}" if record.worker else None
    yield "Worker ID", record.worker_id
    yield record.mode.capitalize(), None if over else f"PID {record.supervisor.pid}, since {age(record.started_at)}"
    yield "Restarts", _restarts(record)
    yield "Last restart", f"{age(last.at)} ago: {last.reason}" if last else None
    yield "Next start", _in(record.next_start_at)
    yield "Version", record.version
    yield "Control plane", record.control_plane_url
    yield "Log", record.log if here else None


def _restarts(record: Record) -> str:
    row = f", {record.crashes_in_a_row} crashes in a row" if record.crashes_in_a_row else ""
    return f"{record.restarts}{row}"


def _said(report: WorkerReport | None) -> Fields:
    if report is None:
        return
    slots, limit = report.activities, report.memory_limit
    yield "Taking work", "yes" if report.taking else f"no: {report.reason}"
    yield "Slots", f"{slots.used} of {slots.total} used"
    yield "Tasks", _tasks(report)
    yield "Running", ", ".join(report.executions)
    yield "Backlog", report.backlog
    yield "Last poll", f"{age(report.last_poll)} ago"
    yield "Last heartbeat", _heartbeat(report)
    yield "Memory", show_size(report.memory) + (f" of {show_size(limit)}" if limit else "")
    yield "CPU", f"{report.cpu_percent:.1f} %"
    yield "Metrics", report.metrics


def _tasks(report: WorkerReport) -> str:
    counts = f"{report.tasks_completed} done, {report.tasks_failed} failed"
    some = report.tasks_completed + report.tasks_failed
    return f"{counts}, {duration(report.average_task_s)} on average" if some else counts


def _heartbeat(report: WorkerReport) -> str:
    failed = f", {report.heartbeats_failed} failed" if report.heartbeats_failed else ""
    return f"{age(report.last_heartbeat)} ago{failed}"


def _paused(seen: Seen) -> Fields:
    if seen.pause is not None:
        until = f", for another {_in(seen.pause.until)}" if seen.pause.until else ""
        note = f": {seen.pause.note}" if seen.pause.note else ""
        yield "Paused", f"{age(seen.pause.since)} ago{until}{note}"
    if seen.record is not None and seen.report is None and not seen.record.state.is_over:
        yield "Health", "it does not answer" if seen.record.health else None
    elif seen.record is not None:
        yield "Health", seen.record.health


def _in(moment: datetime | None) -> str | None:
    """How long until then."""
    return None if moment is None else duration(max(0.0, (moment - datetime.now(UTC)).total_seconds()))


def _other(worker: Worker) -> str:
    what = "alive" if worker.status.is_live else worker.disconnect_reason or "gone"
    seen = age(_last_seen(worker))
    return f"  {worker.status}  {worker.hostname or worker.id}  (PID {worker.pid}), seen {seen} ago: {what}"
