"""A container that takes one execution of a queue and ends: what a provisioner of workers on demand needs.

Nothing here is asynchronous. Containers are labelled, so that whoever comes after a crash finds what was left.
"""

from dataclasses import dataclass, replace

from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.contracts.pool import ContainerState
from kubiya_workers.settings import variables as v

from ..worker_process import said_last
from . import lines
from .engine import connected
from .images import Progress, obtain
from .kept import made
from .spec import ContainerWorker, check_place

LABEL = "io.kubiya.single"
_LAST_WORDS = 4


def start(spec: ContainerWorker, owner: str, progress: Progress) -> None:
    """Start a container for one execution. `owner` names whoever is to remove it: see `left_by`.

    Raises:
        NotFound: there is no image.
        Conflict: there is a container of this name.
        Invalid, Unavailable: Docker, or its place, cannot serve.
    """
    spec = _for_one(spec)
    with connected() as docker:
        check_place(spec, docker.address)
        container = made(docker, spec, obtain(docker, spec.image, spec.pull, progress), {LABEL: owner})
        try:
            docker.start(container)
        except BaseException:
            docker.remove(container)
            raise


@dataclass(frozen=True)
class Over:
    """One that has ended; `status` is 0 when its execution completed, None when it never ran."""

    status: int | None
    words: str


def ended(container: str) -> Over | None:
    """How it ended; None while it runs.

    Raises:
        NotFound: there is no such container.
    """
    with connected() as docker:
        seen = docker.inspect(container)
        if seen is None:
            raise NotFound(f"there is no container {container}")
        if seen.state is ContainerState.CREATED:
            return Over(None, "it was made and never started")
        if not seen.state.is_over:
            return None
        if seen.out_of_memory:
            return Over(seen.exit_code, "it was over its memory limit")
        last = [line for _, line in lines.there(docker, seen.id)][-_LAST_WORDS:]
        return Over(seen.exit_code, said_last(last))


def remove(container: str) -> bool:
    """Remove it, whether it runs or not; whether it was there."""
    with connected() as docker:
        return docker.remove(container)


def left_by(owner: str) -> list[str]:
    """The names of the containers that an owner has started and not removed."""
    with connected() as docker:
        return docker.labelled(f"{LABEL}={owner}")


def _for_one(spec: ContainerWorker) -> ContainerWorker:
    return replace(spec, env={**spec.env, v.SINGLE_EXECUTION.name: "true"})
