"""How an installation is, asked of its cluster; and the wait until it is as it was asked for."""

import time
from collections.abc import Callable
from contextlib import suppress

from kubiya_workers.contracts.errors import Forbidden, Refusal
from kubiya_workers.contracts.pool import InstallationRef, Installed

from . import rollout
from .cluster import Cluster
from .objects import Object, name_of, part
from .rollout import crashed, hopeless, progress
from .spec import APP, APP_LABEL, CONTAINER, INSTANCE_LABEL, QUEUE

_LOOK_S = 0.5
_LAST_WORDS = 5

Progress = Callable[[str], None]


class NotReady(Exception):
    """An installation did not become ready; `why` says what is known of it, a line a cause."""

    def __init__(self, seen: Installed, why: str) -> None:
        super().__init__(why)
        self.seen = seen
        self.why = why


def look(cluster: Cluster, ref: InstallationRef) -> Installed:
    """An installation, its pods, and why some are not ready.

    Raises:
        Refusal: the cluster does not answer, or not to us.
    """
    deployment = cluster.get("Deployment", ref.name, ref.namespace)
    if deployment is None:
        return rollout.installed(ref, None, ())
    pods = [pod for pod in pods_of(cluster, ref) if not _is_over(pod)]
    ill = [pod for pod in pods if not rollout.pod_seen(pod).ready]
    events = _warnings(cluster, ref.namespace) if ill else {}
    sets = _replica_sets(cluster, ref) if ill else []
    scaler = _scaler(cluster, ref)
    return rollout.installed(ref, deployment, pods, scaler=scaler, events=events, replica_sets=sets)


def pods_of(cluster: Cluster, ref: InstallationRef) -> list[Object]:
    return cluster.all_("Pod", ref.namespace, labels={APP_LABEL: APP, INSTANCE_LABEL: ref.name})


def _replica_sets(cluster: Cluster, ref: InstallationRef) -> list[Object]:
    """By which old pods are told from new ones; none for who may not look at them."""
    with suppress(Forbidden):
        return cluster.all_("ReplicaSet", ref.namespace, labels={APP_LABEL: APP, INSTANCE_LABEL: ref.name})
    return []


def _is_over(pod: Object) -> bool:
    """One that ended or was evicted, and is only kept to be looked at: another has its place."""
    return part(pod, "status").get("phase") in ("Succeeded", "Failed")


def _scaler(cluster: Cluster, ref: InstallationRef) -> Object | None:
    labels = {APP_LABEL: APP, INSTANCE_LABEL: ref.name}
    for kind in ("ScaledObject", "HorizontalPodAutoscaler"):
        with suppress(Forbidden):
            for found in cluster.all_(kind, ref.namespace, labels=labels):
                return found
    return None


def _warnings(cluster: Cluster, namespace: str) -> dict[str, list[Object]]:
    """The warnings of pods, by their names; none for who may not read them."""
    found: dict[str, list[Object]] = {}
    with suppress(Forbidden):
        for event in cluster.all_("Event", namespace, fields="involvedObject.kind=Pod,type=Warning"):
            found.setdefault(event["involvedObject"]["name"], []).append(event)
    return found


def until_ready(cluster: Cluster, ref: InstallationRef, timeout: float, progress_: Progress) -> Installed:
    """The installation, once its pods are of the newest version, ready, and alone.

    Raises:
        NotReady: not within `timeout` seconds, or not at all; with what the cluster and the pods say.
        Refusal: the cluster does not answer.
    """
    deadline = time.monotonic() + timeout
    told = _Told(progress_)
    while True:
        seen = look(cluster, ref)
        if not seen.there:
            raise NotReady(seen, f"the Deployment {ref.name} was removed")
        told.tell(seen)
        if seen.settled:
            return seen
        if any(map(hopeless, seen.pods)):
            raise NotReady(seen, why(cluster, seen))
        if time.monotonic() > deadline:
            raise NotReady(seen, why(cluster, seen, f"not ready within {timeout:.0f} s"))
        time.sleep(_LOOK_S)


class _Told:
    """Says each thing once."""

    def __init__(self, progress_: Progress) -> None:
        self._say = progress_
        self._line = ""
        self._causes: set[str] = set()

    def tell(self, seen: Installed) -> None:
        if (line := progress(seen)) != self._line:
            self._line = line
            self._say(line)
        ill = [pod for pod in seen.pods if pod.reason and pod.newest is not False]
        for cause in [*seen.problems, *(f"{pod.name}: {pod.reason}" for pod in ill)]:
            if cause not in self._causes:
                self._causes.add(cause)
                self._say(f"  {cause}")


def why(cluster: Cluster, seen: Installed, otherwise: str = "") -> str:
    """What keeps an installation from being ready; with the last words of a pod that crashes."""
    causes = list(seen.problems)
    for pod in seen.pods:
        if pod.ready or pod.reason is None or pod.newest is False:
            continue
        causes.append(f"{pod.name}: {pod.reason}")
        if crashed(pod):
            causes += [f"  {line}" for line in _last_words(cluster, seen.ref, pod.name)]
            break  # they are all alike
    return "\n".join([*([otherwise] if otherwise else []), *causes]) or progress(seen)


def _last_words(cluster: Cluster, ref: InstallationRef, pod: str) -> list[str]:
    """Of the container that crashed last."""
    try:
        said = b"".join(cluster.log(ref.namespace, pod, CONTAINER, tail=_LAST_WORDS, previous=True))
    except Refusal as error:
        return [f"its log cannot be read: {error.detail}"]
    return [line.partition(" ")[2] for line in said.decode(errors="replace").splitlines()]


def until_gone(cluster: Cluster, ref: InstallationRef, timeout: float, progress_: Progress) -> int:
    """Wait until the pods have drained; how many are left after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    told = -1
    while (left := len([pod for pod in pods_of(cluster, ref) if not _is_over(pod)])) and time.monotonic() < deadline:
        if left != told:
            progress_(f"{left} {'pod drains' if left == 1 else 'pods drain'}")
            told = left
        time.sleep(_LOOK_S)
    return left


def found(cluster: Cluster, namespace: str, queue: str | None = None) -> list[InstallationRef]:
    """The installations of a namespace, or of one queue there, whoever made them.

    Args:
        namespace: empty for all of them, where one may look at them all.
    """
    labels = {APP_LABEL: APP}
    refs = [
        InstallationRef(
            name=name_of(one),
            namespace=one["metadata"]["namespace"],
            queue=part(one, "metadata", "annotations").get(QUEUE, ""),
        )
        for one in cluster.all_("Deployment", namespace, labels=labels)
    ]
    return [ref for ref in refs if queue in (None, ref.queue)]
