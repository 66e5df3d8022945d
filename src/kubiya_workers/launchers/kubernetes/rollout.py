"""How an installation is, from what its cluster says of it. Decisions only: objects come in as values."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from kubiya_workers.contracts.pool import InstallationRef, Installed, PodSeen
from kubiya_workers.contracts.wire import Timestamp

from .objects import Object, entries, holds, name_of, part, worker_of

_TIME: TypeAdapter[datetime] = TypeAdapter(Timestamp)
_HOPELESS = ("InvalidImageName", "ErrImageNeverPull")
"""What no waiting mends."""
_CRASHES_ENOUGH = 2
_REVISION, _HASH = "deployment.kubernetes.io/revision", "pod-template-hash"
_BEGINNING = (None, "ContainerCreating", "PodInitializing")
"""What a container waits for that is about to start, or has; it says less than its events."""


def installed(
    ref: InstallationRef,
    deployment: Object | None,
    pods: Iterable[Object],
    *,
    scaler: Object | None = None,
    events: Mapping[str, Sequence[Object]] | None = None,
    replica_sets: Iterable[Object] = (),
) -> Installed:
    """What can be said of an installation; `events` are those of pods, by their names."""
    if deployment is None:
        return Installed(ref=ref, there=False)
    spec, status = part(deployment, "spec"), part(deployment, "status")
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    newest = _newest(deployment, replica_sets)
    told = (pod_seen(pod, (events or {}).get(name_of(pod), ()), newest) for pod in pods)
    seen = tuple(sorted(told, key=_order))
    ready = status.get("readyReplicas", 0)
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    least = _least(scaler)
    # The old ones have to be gone, and the new ones ready, as many as an autoscaler wants at least.
    settled = (
        current
        and wanted >= least
        and updated == wanted == status.get("replicas", 0) == status.get("availableReplicas", 0)
    )
    return Installed(
        ref=ref,
        there=True,
        settled=settled,
        wanted=wanted,
        updated=updated,
        ready=ready,
        image=worker_of(entries(spec, "template", "spec", "containers")).get("image"),
        autoscaler=_scaled(scaler),
        least=least,
        pods=seen,
        problems=tuple(_failures(deployment)),
    )


def _order(pod: PodSeen) -> tuple[bool, str]:
    return pod.ready, pod.name


def _least(scaler: Object | None) -> int:
    spec = part(scaler or {}, "spec")
    return spec.get("minReplicaCount", spec.get("minReplicas", 0))


def _scaled(scaler: Object | None) -> str | None:
    if scaler is None:
        return None
    what, most = ("backlog", "maxReplicaCount") if scaler["kind"] == "ScaledObject" else ("cpu", "maxReplicas")
    return f"{what}, {_least(scaler)} to {part(scaler, 'spec').get(most)}"


def _failures(deployment: Object) -> Iterable[str]:
    """Why pods are not made: a quota, a policy, a webhook; or that it takes longer than it should."""
    for condition in entries(deployment, "status", "conditions"):
        failed = condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        late = condition["type"] == "Progressing" and condition["status"] == "False"
        if failed or late:
            yield condition.get("message") or condition.get("reason") or condition["type"]


def _newest(deployment: Object, replica_sets: Iterable[Object]) -> str | None:
    """The hash by which the pods of the newest version are labelled."""
    revision = part(deployment, "metadata", "annotations").get(_REVISION)
    found = [one for one in replica_sets if part(one, "metadata", "annotations").get(_REVISION) == revision]
    return part(found[0], "metadata", "labels").get(_HASH) if revision and found else None


def pod_seen(pod: Object, events: Sequence[Object] = (), newest: str | None = None) -> PodSeen:
    """A pod, and why it is not ready; `events` are the pod's own, `newest` is the hash of the newest version."""
    state = worker_of(entries(pod, "status", "containerStatuses"))
    going = "deletionTimestamp" in pod["metadata"]
    ready = holds(pod, "Ready") and not going
    began = part(state, "state", "running").get("startedAt")
    return PodSeen(
        name=name_of(pod),
        ready=ready,
        newest=None if newest is None else part(pod, "metadata", "labels").get(_HASH) == newest,
        state="Terminating" if going else part(pod, "status").get("phase", "Pending"),
        reason=None if ready or going else _why(pod, state, events),
        restarts=state.get("restartCount", 0),
        node=part(pod, "spec").get("nodeName"),
        started_at=_TIME.validate_python(began) if began else None,
    )


def _why(pod: Object, state: Object, events: Sequence[Object]) -> str | None:
    """Why a pod is not ready: the nearest cause that anybody has told."""
    unplaced = [one for one in entries(pod, "status", "conditions") if _is_unplaced(one)]
    waiting, over = part(state, "state", "waiting"), part(state, "state", "terminated")
    warnings = [event for event in events if event.get("type") == "Warning"]
    if unplaced:
        return f"it is placed nowhere: {_said(unplaced[0])}"
    if over:
        return _ended(over)
    if waiting.get("reason") == "CrashLoopBackOff":
        return f"it crashes again and again: {_ended(part(state, 'lastState', 'terminated'))}"
    if warnings and waiting.get("reason") in _BEGINNING:
        return _said(max(warnings, key=_last_time))
    return _said(waiting) or None


def _is_unplaced(condition: Mapping[str, Any]) -> bool:
    return condition["type"] == "PodScheduled" and condition["status"] == "False"


def _ended(terminated: Mapping[str, Any]) -> str:
    if terminated.get("reason") == "OOMKilled":
        return "it was over its memory limit, and was killed for it"
    return f"it ended with status {terminated.get('exitCode', '?')}"


def _said(thing: Mapping[str, Any]) -> str:
    """`Reason: message`, as far as there are both."""
    return ": ".join(str(part).strip() for part in (thing.get("reason"), thing.get("message")) if part)


def _last_time(event: Object) -> str:
    times = (part(event, "series").get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((moment for moment in times if moment), "")


def hopeless(pod: PodSeen) -> bool:
    """Whether waiting for a pod is of no use: its image cannot be had, or its worker ends whenever it is started."""
    reason = pod.reason or ""
    if pod.newest is False:
        return False  # it is about to be replaced
    return reason.startswith(_HOPELESS) or (reason.startswith("it crashes") and pod.restarts >= _CRASHES_ENOUGH)


def crashed(pod: PodSeen) -> bool:
    """Whether its last words are those of a container before the present one."""
    return pod.restarts > 0 and (pod.reason or "").startswith("it crashes")


def progress(seen: Installed) -> str:
    """In a line, what a wait waits for."""
    if seen.wanted < seen.least:
        return f"{seen.wanted} of at least {seen.least} pods wanted: its autoscaler has not scaled it yet"
    if seen.wanted == 0:
        return "no pod is wanted"
    going = sum(pod.state == "Terminating" for pod in seen.pods)
    rest = f", {going} of before still draining" if going else ""
    return f"{min(seen.ready, seen.wanted)} of {seen.wanted} pods ready, {seen.updated} of the newest version{rest}"
