"""The container of a queue's worker: started, waited for, looked at, stopped, removed.

Its file (`remembered`) says which it is; what is true of it is asked of Docker and of the worker in it. Nothing here
is asynchronous.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from kubiya_workers.contracts.errors import Conflict, NotFound
from kubiya_workers.contracts.pool import Container, ContainerRef, ContainerState, Mode, Record, Seen, UpkeepState
from kubiya_workers.contracts.wire import Timestamp
from kubiya_workers.settings.paths import Paths

from ..upkeep.daemon import NotStarted
from ..worker_process import said_last
from . import inside, lines, remembered
from .engine import Docker, Inspected, connected
from .images import Fetched, Progress, obtain
from .spec import (
    HOME,
    ContainerWorker,
    Pull,
    check_place,
    container,
    files,
    host_part,
)

_UP_WITHIN_S = 600.0  # what it needs may have to be installed first
_LOOK_S = 0.1
_HOME_LABEL = "io.kubiya.home"
_TIME: TypeAdapter[datetime] = TypeAdapter(Timestamp)
_LAST_WORDS = 4
_NO_STATUS, _KILLED = 126, 137
_KEPT = {"Name": "unless-stopped"}


def name_of(queue: str) -> str:
    return f"kubiya-worker-{queue}"


def prepare(image: str, pull: Pull, progress: Progress, fetched: Fetched | None = None) -> None:
    """See to it that Docker answers and has the image: before anything else is started for a worker.

    What is pulled is told as `images.obtain` does.

    Raises:
        Unavailable: Docker does not answer.
        NotFound, Invalid: the image cannot be had, or not be used.
    """
    with connected() as docker:
        obtain(docker, image, pull, progress, fetched)


def start(paths: Paths, spec: ContainerWorker, progress: Progress) -> tuple[ContainerRef, bool]:
    """A started container, which may not poll yet, and whether it was started by this call.

    Raises:
        Conflict: a container of this name is not this home's.
        NotFound: there is no image.
        Invalid, Unavailable: Docker, or its place, cannot serve.
    """
    with connected() as docker:
        check_place(spec, docker.address)
        there = docker.inspect(spec.name)
        if there is not None and not _may_go(paths, there, spec.name):
            return remembered.read(paths, spec.queue) or _ref(spec, there.id, docker), False
        owner = obtain(docker, spec.image, spec.pull, progress)
        if there is not None:
            docker.remove(there.id)
        progress(f"Starting the container {spec.name}")
        ref = _ref(spec, made(docker, spec, owner, {_HOME_LABEL: _home(paths)}), docker)
        remembered.write(paths, spec.queue, ref)
        docker.start(ref.id)
        return ref, True


def made(docker: Docker, spec: ContainerWorker, owner: int, labels: dict[str, str]) -> str:
    """A container that is ready to be started; its id. What cannot be finished is removed."""
    words = container(spec)
    words["labels"] |= labels
    within = files(spec)
    made = docker.create(words, host_part(spec))
    try:
        docker.put(made, within, owner=owner)
    except BaseException:
        docker.remove(made)
        raise
    return made


def _may_go(paths: Paths, there: Inspected, name: str) -> bool:
    """Whether a container of our name may be replaced: it is ours, and over."""
    if there.labels.get(_HOME_LABEL) != _home(paths):
        raise Conflict(f"there is a container {name} already, which is not of {paths.home}", fix=f"docker rm -f {name}")
    return there.state.is_over or there.state is ContainerState.CREATED


def _home(paths: Paths) -> str:
    return str(paths.home.resolve())


def _ref(spec: ContainerWorker, made: str, docker: Docker) -> ContainerRef:
    return ContainerRef(id=made, name=spec.name, image=spec.image, mode=spec.mode, docker=docker.address)


def until_ready(queue: str, ref: ContainerRef, policy: dict[str, str] | None = None) -> Record:
    """What the worker in it says once it polls; from then on Docker starts it again as `policy` says.

    Raises:
        NotStarted: it ended before; with its own status and reason.
    """
    deadline = time.monotonic() + _UP_WITHIN_S
    with connected(ref.docker) as docker:
        while time.monotonic() < deadline:
            seen = _container(ref, docker.inspect(ref.id))
            record = _record(docker, queue, ref)
            if seen.state.is_over:
                raise NotStarted(seen.exit_code or _NO_STATUS, _why_over(docker, seen, record))
            if record is not None and record.state is UpkeepState.RUNNING and _is_of_now(record, seen):
                if policy is not None:
                    docker.restarting(ref.id, policy)
                return record
            time.sleep(_LOOK_S)
        docker.stop(ref.id, 0.0)
    raise NotStarted(_NO_STATUS, f"it did not poll within {_UP_WITHIN_S:.0f} s")


def _is_of_now(record: Record, seen: Container) -> bool:
    """Not what its predecessor in the same container left behind."""
    return seen.started_at is None or record.started_at >= seen.started_at


def follow(ref: ContainerRef, echo: Callable[[bytes], None]) -> int:
    """Forward what a container says, from its first line to its end; its exit status."""
    with connected(ref.docker) as docker:
        for line in lines.to_come(docker, ref.id, after=""):
            if line is not None:
                echo(line.encode() + b"\n")
        status = docker.wait(ref.id)
        if _container(ref, docker.inspect(ref.id)).out_of_memory:
            echo(b"Error: the container was over its memory limit, and was killed for it\n")
        return status


def look(queue: str, ref: ContainerRef) -> tuple[Container, Seen | None]:
    """A queue's container, and what is said inside, or was written down there last.

    Raises:
        Unavailable: Docker does not answer.
    """
    with connected(ref.docker) as docker:
        seen = _container(ref, docker.inspect(ref.id))
        if seen.state is ContainerState.RUNNING and (said := inside.status(docker, ref, queue)):
            return seen, said
        record = _record(docker, queue, ref)
        return seen, None if record is None else Seen(queue=queue, running=False, record=record)


def all_(paths: Paths) -> Iterator[tuple[str, Container, Record | None, bool]]:
    """Every queue's container, what its worker wrote down last, and whether it is paused.

    Raises:
        Unavailable: Docker does not answer.
    """
    for queue, ref in remembered.all_(paths).items():
        with connected(ref.docker) as docker:
            seen = _container(ref, docker.inspect(ref.id))
            pause = docker.read(ref.id, f"{HOME}/run/{queue}/pause.json")
            yield queue, seen, _record(docker, queue, ref), pause is not None


def running(ref: ContainerRef) -> bool:
    """Whether a container runs, or is about to.

    Raises:
        Unavailable: Docker does not answer.
    """
    with connected(ref.docker) as docker:
        there = docker.inspect(ref.id)
        return there is not None and not there.state.is_over


def stop(ref: ContainerRef, timeout: float) -> None:
    """Drain it, kill it after `timeout` seconds; it has ended when this returns, and is not started again."""
    with connected(ref.docker) as docker:
        try:
            docker.stop(ref.id, timeout)
        except NotFound:
            return


def restart(queue: str, ref: ContainerRef, timeout: float) -> Record:
    """The same container, drained and started again, and kept from then on; raises as `until_ready` does."""
    with connected(ref.docker) as docker:
        docker.restart(ref.id, timeout)
    return until_ready(queue, ref, _KEPT if ref.mode is Mode.FOREGROUND else None)


def remove(paths: Paths, queue: str, ref: ContainerRef) -> None:
    with connected(ref.docker) as docker:
        docker.remove(ref.id)
    remembered.forget(paths, queue)


@contextmanager
def asked(ref: ContainerRef) -> Generator[Docker]:
    """The daemon that has a container."""
    with connected(ref.docker) as docker:
        yield docker


def _container(ref: ContainerRef, there: Inspected | None) -> Container:
    if there is None:
        return Container(ref=ref, state=ContainerState.GONE)
    started = _TIME.validate_python(there.started_at) if there.started_at else None
    return Container(
        ref=ref,
        state=there.state,
        exit_code=there.exit_code,
        # Docker says it also when one of its programs was killed for that, and the container lived on.
        out_of_memory=there.out_of_memory and there.exit_code == _KILLED,
        restarts=there.restarts,
        started_at=started if started and started > datetime(2000, 1, 1, tzinfo=UTC) else None,
    )


def _record(docker: Docker, queue: str, ref: ContainerRef) -> Record | None:
    """What the keeper in the container wrote down last; it can be read when that does not run, too."""
    content = docker.read(ref.id, f"{HOME}/run/{queue}/worker.json")
    try:
        return None if content is None else Record.model_validate_json(content)
    except ValidationError:
        return None


def _why_over(docker: Docker, seen: Container, record: Record | None) -> str:
    if seen.out_of_memory:
        return "its container was over its memory limit"
    if record is not None and record.reason:
        return record.reason
    if seen.state is ContainerState.GONE:
        return "its container was removed"
    said = said_last([line for _, line in lines.there(docker, seen.ref.id)][-_LAST_WORDS:])
    return said or f"its container ended with status {seen.exit_code}"
