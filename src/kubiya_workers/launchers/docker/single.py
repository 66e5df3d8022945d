"""A container that takes one execution of a queue and ends: what a provisioner of workers on demand needs.

Nothing here is asynchronous. Containers are labelled, so that whoever comes after a crash finds what was left.
"""

from dataclasses import replace

from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.settings import variables as v

from .engine import connected
from .images import Progress, obtain
from .kept import made
from .spec import ContainerWorker, check_place

LABEL = "io.kubiya.single"


def start(spec: ContainerWorker, owner: str, progress: Progress) -> str:
    """A started container for one execution; its id. `owner` names whoever is to remove it: see `left_by`.

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
        return container


def ended(container: str) -> int | None:
    """Its exit status: 0 when its execution completed; None while it runs.

    Raises:
        NotFound: there is no such container.
    """
    with connected() as docker:
        seen = docker.inspect(container)
        if seen is None:
            raise NotFound(f"there is no container {container}")
        return seen.exit_code if seen.state.is_over else None


def remove(container: str) -> bool:
    """Remove it, whether it runs or not; whether it was there."""
    with connected() as docker:
        return docker.remove(container)


def left_by(owner: str) -> list[str]:
    """The containers that an owner has started and not removed."""
    with connected() as docker:
        return docker.labelled(f"{LABEL}={owner}")


def _for_one(spec: ContainerWorker) -> ContainerWorker:
    return replace(spec, env={**spec.env, v.SINGLE_EXECUTION.name: "true"})
