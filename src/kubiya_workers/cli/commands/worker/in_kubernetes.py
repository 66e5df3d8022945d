"""Workers in a cluster, for the commands of workers: what becomes of each when its queue's are installed in one.

This module is light; `launchers.kubernetes` loads the client where there is an installation. How one is made is
`installing`.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import TypeVar

from kubiya_workers.contracts.errors import Conflict, Refusal
from kubiya_workers.contracts.pool import InstallationRef, Installed, Listed, PodSeen, WorkerType
from kubiya_workers.launchers.kubernetes import remembered
from kubiya_workers.launchers.upkeep.reader import Wanted
from kubiya_workers.settings.paths import Paths

from ... import talk
from ...ages import age
from ...output import Fields
from .placing import Place

T = TypeVar("T")


async def look(paths: Paths, queue: str, place: Place) -> Installed | str | None:
    """What can be said of a queue's installation, or why nothing can; None when there is none that is known."""
    try:
        ref = place.of(paths, queue)
        return None if ref is None else await asyncio.to_thread(_look, ref)
    except Refusal as error:
        return error.detail


def _look(ref: InstallationRef) -> Installed:
    from kubiya_workers.launchers.kubernetes.cluster import connected
    from kubiya_workers.launchers.kubernetes.looking import look as look_there

    with connected(ref.kubeconfig, ref.context) as cluster:
        return look_there(cluster, ref)


async def listed(paths: Paths, place: Place) -> list[Listed]:
    """What was installed from here; where a place was said, all that is installed there instead."""
    refs = [*remembered.all_(paths).values()]
    if place.is_said:
        refs = await _asked(asyncio.to_thread(_found, place)) or []
    seen = await asyncio.gather(*(_asked(asyncio.to_thread(_look, ref)) for ref in refs))
    return [_listed(one) for one in seen if one is not None]


async def _asked(answer: Awaitable[T]) -> T | None:
    """None, and a word about it, when a cluster does not answer: the others may."""
    try:
        return await answer
    except Refusal as error:
        talk.note(f"Workers in a cluster are not shown: {error.detail}")
        return None


def _found(place: Place) -> list[InstallationRef]:
    from kubiya_workers.launchers.kubernetes.cluster import connected, named
    from kubiya_workers.launchers.kubernetes.looking import found

    kubeconfig, context = named(place.kubeconfig, place.context)
    with connected(kubeconfig, context) as cluster:
        refs = found(cluster, place.namespace)
    where = {"kubeconfig": kubeconfig, "context": context}
    return [ref.model_copy(update=where) for ref in refs if place.name in ("", ref.name)]


def _listed(seen: Installed) -> Listed:
    return Listed(
        queue=seen.ref.queue,
        type=WorkerType.KUBERNETES,
        state=f"{seen.ready}/{seen.wanted} ready" if seen.there else "gone",
        hostname=f"{seen.ref.namespace}/{seen.ref.name}",
        restarts=sum(pod.restarts for pod in seen.pods) if seen.there else None,
        started_at=min((pod.started_at for pod in seen.pods if pod.started_at), default=None),
    )


def log(ref: InstallationRef, wanted: Wanted, *, tail: int | None, follow: bool) -> Iterator[list[str]]:
    """The wanted records of what an installation's pods said, as `reader.read` gives those of a file."""
    from kubiya_workers.launchers.kubernetes.logs import Logs

    logs = Logs(ref)
    yield from logs.there(wanted, tail)
    if follow:
        yield from logs.to_come(wanted)


def refuse(paths: Paths, queue: str, verb: str) -> None:
    """For what is done to a worker of this machine alone.

    Raises:
        Conflict: the queue's workers are in a cluster.
    """
    ref = remembered.read(paths, queue)
    if ref is not None:
        raise Conflict(
            f"the workers of queue {queue} are installed in a cluster, as {ref.name} in {ref.namespace}",
            fix=f"kubectl {verb} -n {ref.namespace} deployment/{ref.name}; or kubiya worker uninstall --queue={queue}",
        )


def why(seen: Installed) -> str | None:
    """Why none of an installation's workers runs; None when one does."""
    if not seen.there:
        return f"there is no {seen.ref.name} in {seen.ref.namespace}"
    if seen.ready:
        return None
    if seen.wanted == 0:
        return f"{seen.ref.name} in {seen.ref.namespace} is scaled to no pod"
    causes = [*seen.problems, *(f"{pod.name}: {pod.reason}" for pod in seen.pods if pod.reason)]
    return causes[0] if causes else "its pods are starting"


def described(seen: Installed | None) -> Fields:
    if seen is None:
        return
    yield (
        "Installed",
        f"{seen.ref.name} in {seen.ref.namespace}" + (f" ({seen.ref.context})" if seen.ref.context else ""),
    )
    if not seen.there:
        yield "State", "not there"
        return
    yield "Pods", pods_of(seen)
    yield "Autoscaler", seen.autoscaler
    yield "Image", seen.image
    yield "Problem", "\n".join(seen.problems)
    yield "Pod", "\n".join(map(_pod, seen.pods))


def pods_of(seen: Installed) -> str:
    rest = "" if seen.settled or seen.updated == seen.wanted else f", {seen.updated} of the newest version"
    return f"{seen.ready} of {seen.wanted} ready{rest}"


def _pod(pod: PodSeen) -> str:
    up = f", up {age(pod.started_at)}" if pod.started_at else ""
    restarts = f", {pod.restarts} restarts" if pod.restarts else ""
    state = "ready" if pod.ready else f"{pod.state}, not ready" + (f": {pod.reason}" if pod.reason else "")
    return f"{pod.name}  {state}{up}{restarts}" + (f", on {pod.node}" if pod.node else "")
