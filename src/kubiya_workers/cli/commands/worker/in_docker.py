"""Workers in containers, for the commands of workers: what becomes of each command when the queue's worker is in one.

This module is light; `launchers.docker` loads Docker's SDK where there is a container. How one is started is
`containing`.
"""

import asyncio
from collections.abc import Iterator

import click

from kubiya_workers.contracts.errors import Conflict, Refusal
from kubiya_workers.contracts.pool import (
    Container,
    ContainerRef,
    ContainerState,
    Listed,
    Mode,
    Record,
    Seen,
    UpkeepState,
    WorkerType,
)
from kubiya_workers.launchers.docker import inside, kept, lines, remembered
from kubiya_workers.launchers.upkeep.daemon import NotStarted
from kubiya_workers.launchers.upkeep.reader import Wanted, select, selected
from kubiya_workers.settings.paths import Paths

from ... import talk
from ...ages import age
from ...exit import Exit, Failed
from ...output import Fields


def runs(queue: str, ref: ContainerRef) -> Conflict:
    return Conflict(
        f"the worker of queue {queue} already runs, in the container {ref.name}",
        fix=f"kubiya worker status --queue-id={queue}; kubiya worker stop --queue-id={queue}",
    )


def make_way(paths: Paths, queue: str) -> None:
    """For a worker that is none in a container: what an earlier one left is removed.

    Raises:
        Conflict: it runs.
    """
    ref = remembered.read(paths, queue)
    if ref is None:
        return
    if kept.running(ref):
        raise runs(queue, ref)
    kept.remove(paths, queue, ref)


async def look(paths: Paths, queue: str) -> Seen | None:
    """What can be said of a worker in a container; None when the queue's worker is in none."""
    ref = remembered.read(paths, queue)
    if ref is None:
        return None
    try:
        container, said = await asyncio.to_thread(kept.look, queue, ref)
    except Refusal as error:
        return Seen(queue=queue, running=False, why=error.detail)
    record = said.record if said else None
    here = container.state is ContainerState.RUNNING and record is not None and record.state is UpkeepState.RUNNING
    return Seen(
        queue=queue,
        running=here,
        why=None if here else _why(container, record),
        container=container,
        record=_kept_by_docker(record, container),
        report=said.report if said else None,
        pause=said.pause if said else None,
    )


async def listed(paths: Paths) -> list[Listed]:
    try:
        found = await asyncio.to_thread(lambda: list(kept.all_(paths)))
    except Refusal as error:
        talk.note(f"Workers in containers are not shown: {error.detail}")
        return []
    return [_listed(*one) for one in found]


def _listed(queue: str, container: Container, record: Record | None, paused: bool) -> Listed:
    over, state = container.state.is_over, _state(container, record)
    return Listed(
        queue=queue,
        type=WorkerType.DOCKER,
        state="paused" if paused and state == UpkeepState.RUNNING else state,
        hostname=container.ref.name,
        worker_id=record.worker_id if record else None,
        started_at=None if over else container.started_at,
        restarts=container.restarts,
        version=record.version if record else None,
    )


def _state(container: Container, record: Record | None) -> str:
    """In the words of other workers."""
    if container.state is ContainerState.RUNNING:
        return record.state if record and not record.state.is_over else UpkeepState.STARTING
    if container.state.is_over:
        return UpkeepState.FAILED if container.exit_code else UpkeepState.STOPPED
    return container.state


def _why(container: Container, record: Record | None) -> str:
    state = _state(container, record)
    if container.out_of_memory:
        return f"{state}: its container was over its memory limit, and was killed for it"
    if record is not None and record.reason:
        return f"{state}: {record.reason}"
    if container.state is ContainerState.GONE:
        return "its container was removed"
    return f"{state}: its container ended with status {container.exit_code}" if container.state.is_over else state


def _kept_by_docker(record: Record | None, container: Container) -> Record | None:
    """In there a worker is always in the foreground; how it is kept is the container's business."""
    if record is None:
        return None
    kept = record.model_copy(update={"mode": container.ref.mode})
    return _over(kept, container) if container.state.is_over else kept


def _over(record: Record, container: Container) -> Record:
    """What a keeper wrote last, when it may have been killed with its container."""
    if record.state.is_over:
        return record
    state = UpkeepState.FAILED if container.exit_code else UpkeepState.STOPPED
    return record.model_copy(update={"state": state, "worker": None, "health": None})


def described(container: Container | None) -> Fields:
    if container is None:
        return
    ref, status = container.ref, "" if container.exit_code is None else f", status {container.exit_code}"
    yield "Container", f"{ref.name} ({ref.id[:12]}), {container.state}{status}"
    yield "Image", ref.image
    yield "Up", age(container.started_at) if not container.state.is_over else None
    yield "Restarted", f"{container.restarts} times by Docker" if container.restarts else None


def log(ref: ContainerRef, wanted: Wanted, *, tail: int | None, follow: bool) -> Iterator[list[str]]:
    """The wanted records of what a container said, as `reader.read` gives those of a file."""
    with kept.asked(ref) as docker:
        last = ""

        def there() -> Iterator[str]:
            nonlocal last
            for moment, line in lines.there(docker, ref.id):
                last = moment
                yield line

        yield from select(there(), wanted, tail=tail)
        if follow:
            yield from selected(lines.to_come(docker, ref.id, after=last, lasting=True), wanted)


def passed_on(paths: Paths, queue: str, name: str, words: list[str]) -> Exit:
    """A command that the container's own `kubiya` does: it is printed as it is said there.

    Raises:
        Conflict: the container does not run.
    """
    ref = remembered.read(paths, queue)
    if ref is None or not kept.running(ref):
        raise Conflict(
            f"the worker of queue {queue} does not run: its container has ended",
            fix=f"kubiya worker start --queue-id={queue} --type=docker",
        )
    with kept.asked(ref) as docker:
        click.echo(inside.command(docker, ref, [name, f"--queue-id={queue}", *words]), nl=False)
    return Exit.DONE


async def stop(paths: Paths, queue: str, timeout: float) -> bool:
    """Whether there was one to be stopped; it has ended when this returns."""
    ref = remembered.read(paths, queue)
    if ref is None or not await asyncio.to_thread(kept.running, ref):
        return False
    await asyncio.to_thread(kept.stop, ref, timeout)
    return True


def restart(paths: Paths, queue: str, timeout: float) -> Record:
    """Raises Failed: its worker did not come to poll again."""
    ref = remembered.read(paths, queue)
    assert ref is not None  # whoever calls has looked
    try:
        record = kept.restart(queue, ref, timeout)
    except NotStarted as error:
        fix = f"kubiya worker logs --queue-id={queue} --tail=50"
        raise Failed(f"the worker of queue {queue} did not start: {error.reason}", fix=fix) from None
    if ref.mode is Mode.FOREGROUND:
        # Its terminal saw it end.
        remembered.write(paths, queue, ref.model_copy(update={"mode": Mode.DAEMON}))
    return record


def state_of(paths: Paths, queue: str) -> str | None:
    """How a container is that is not over."""
    ref = remembered.read(paths, queue)
    return UpkeepState.RUNNING if ref is not None and kept.running(ref) else None


def remove(paths: Paths, queue: str) -> None:
    ref = remembered.read(paths, queue)
    if ref is not None:
        kept.remove(paths, queue, ref)
