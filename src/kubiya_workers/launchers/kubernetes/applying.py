"""An installation brought into a cluster, changed there, and taken out of it.

Everything is applied server-side by our name, so that what others set beside it stays theirs. It is asked for as a
trial first: what the cluster would refuse, it refuses before anything is changed.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from kubiya_workers.contracts.errors import Conflict, Forbidden, NotFound
from kubiya_workers.contracts.pool import Changed

from .cluster import Cluster, FieldConflict
from .manifests import namespace, rendered
from .objects import Object, entries, name_of, part
from .pods import Manifest
from .spec import MANAGED_BY_LABEL, MANAGER, QUEUE, Installation

_OF_SCALING = ("ScaledObject", "HorizontalPodAutoscaler")
_PRUNED = (
    *_OF_SCALING,
    "ServiceMonitor",
    "Service",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Deployment",
    "ConfigMap",
    "Secret",
)
"""What an installation may be made of, in the order in which it is taken away. A namespace is never."""
_EXTENSIONS = {
    "monitoring.coreos.com/v1": ("the Prometheus operator", "--monitoring"),
    "keda.sh/v1alpha1": ("KEDA", "--autoscale backlog"),
}
_HANDOVER = f"{MANAGER}-handover"
_REPLICAS = ".spec.replicas"
_NOT_SAID = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp")


def install(cluster: Cluster, it: Installation, *, force: bool = False, dry_run: bool = False) -> Iterator[Changed]:
    """Have the cluster be what an installation says; what that changed, as it is done.

    Args:
        force: take over fields that others have set otherwise.
        dry_run: change nothing: the cluster says what it would do.

    Raises:
        NotFound: an extension that is wanted is not there.
        Conflict: there is something of this name that is not this queue's, or, as FieldConflict, not ours.
        Forbidden, Invalid, Unavailable: the cluster refuses.
    """
    wanted = rendered(it)
    _check_extensions(cluster, wanted)
    made = _namespace(cluster, it.namespace, dry_run=dry_run)
    if made:
        yield made
    if made and dry_run:
        yield from (Changed(kind=one["kind"], name=name_of(one), change="created") for one in wanted)
        return
    _check_owner(cluster, it)
    wanted = rendered(it, secret_version=_version(cluster, it))
    tried = [_applied(cluster, it, one, force=force, dry_run=True) for one in wanted]
    if dry_run:
        yield from tried
        yield from _prune(cluster, it, wanted, dry_run=True)
        return
    # First: an autoscaler that is to go must not scale what is about to have a number again.
    yield from _prune(cluster, it, wanted)
    for kind, name in [(one["kind"], name_of(one)) for one in wanted]:
        # Rendered again each time: the pods are told which version of the Secret they have.
        fresh = rendered(it, secret_version=_version(cluster, it)) if kind == "Deployment" else wanted
        (one,) = (found for found in fresh if (found["kind"], name_of(found)) == (kind, name))
        yield _applied(cluster, it, one, force=force)


def uninstall(cluster: Cluster, name: str, namespace: str, *, dry_run: bool = False) -> Iterator[Changed]:
    """Take away everything of an installation, but for its namespace; its pods drain after that."""
    for kind in _PRUNED:
        for found in _ours(cluster, kind, name, namespace):
            if dry_run or cluster.delete(kind, name_of(found), namespace):
                yield Changed(kind=kind, name=name_of(found), change="deleted")


def _check_extensions(cluster: Cluster, wanted: Sequence[Manifest]) -> None:
    for api in {one["apiVersion"] for one in wanted} & _EXTENSIONS.keys():
        if not cluster.serves(api):
            what, flag = _EXTENSIONS[api]
            raise NotFound(
                f"the cluster at {cluster.address} does not have {what}: it does not know {api}",
                fix=f"install {what} there, or leave out {flag}",
            )


def _namespace(cluster: Cluster, name: str, *, dry_run: bool) -> Changed | None:
    """Make the namespace where there is none; one that is there is somebody's already."""
    try:
        if cluster.get("Namespace", name) is not None:
            return None
        cluster.apply(namespace(name), dry_run=dry_run)
    except Forbidden:
        return None  # who may not look at namespaces may still work in one: the next answer says
    return Changed(kind="Namespace", name=name, change="created")


def _check_owner(cluster: Cluster, it: Installation) -> None:
    there = cluster.get("Deployment", it.name, it.namespace)
    if there is None:
        return
    if part(there, "metadata", "labels").get(MANAGED_BY_LABEL) != MANAGER:
        raise Conflict(
            f"there is a Deployment {it.name} in {it.namespace} already, which was not installed by kubiya",
            fix="--name for another name, or --namespace for another place",
        )
    queue = part(there, "metadata", "annotations").get(QUEUE)
    if queue not in (None, it.values.queue):
        raise Conflict(
            f"{it.name} in {it.namespace} serves queue {queue}",
            fix=f"--name for another name, or first: kubiya worker uninstall --queue={queue}",
        )


def _applied(cluster: Cluster, it: Installation, manifest: Manifest, *, force: bool, dry_run: bool = False) -> Changed:
    kind, name = manifest["kind"], name_of(manifest)
    before = cluster.get(kind, name, it.namespace)
    hands_over = kind == "Deployment" and before is not None and not it.fixed and _has_replicas(before)
    if hands_over and before is not None and not dry_run:
        _hand_over(cluster, before)
    try:
        after = cluster.apply(_encoded(manifest), force=force, dry_run=dry_run)
    except FieldConflict as error:
        if set(error.fields) != {_REPLICAS}:
            raise FieldConflict(
                error.detail,
                error.fields,
                fix="--force-conflicts to take these fields over, or leave them to who set them: "
                "kubectl get --show-managed-fields",
            ) from None
        # Whoever says --replicas now means it, whatever scaled it before.
        after = cluster.apply(_encoded(manifest), force=True, dry_run=dry_run)
    if before is None:
        return Changed(kind=kind, name=name, change="created")
    fields = [field for field in _differing(before, after) if not (hands_over and field == _REPLICAS)]
    return Changed(kind=kind, name=name, change="configured" if fields else "unchanged", fields=tuple(fields))


def _has_replicas(deployment: Object) -> bool:
    """Whether the number of replicas is ours."""
    return any(
        entry.get("manager") == MANAGER and "f:replicas" in part(entry, "fieldsV1", "f:spec")
        for entry in entries(deployment, "metadata", "managedFields")
    )


def _hand_over(cluster: Cluster, deployment: Object) -> None:
    """Have another name say the present number, too: a field that nobody says any more falls back to one replica.

    Source: "Transferring ownership", https://kubernetes.io/docs/reference/using-api/server-side-apply/
    """
    metadata = {"name": name_of(deployment), "namespace": deployment["metadata"]["namespace"]}
    said = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
    cluster.apply(said | {"spec": {"replicas": deployment["spec"]["replicas"]}}, manager=_HANDOVER)


def _encoded(manifest: Manifest) -> Manifest:
    """As it is applied: the texts of a Secret in the field that it keeps them in, so that they can be owned."""
    if "stringData" not in manifest:
        return manifest
    data = {name: base64.b64encode(text.encode()).decode() for name, text in manifest["stringData"].items()}
    return {**{name: part for name, part in manifest.items() if name != "stringData"}, "data": data}


def _version(cluster: Cluster, it: Installation) -> str:
    """Of the Secret that is there: it changes when its content does, and tells nothing of that."""
    if it.key is None and not it.secrets:
        return ""
    try:
        found = cluster.get("Secret", it.own_secret, it.namespace)
    except Forbidden:
        return ""
    return found["metadata"].get("resourceVersion", "") if found else ""


def _prune(
    cluster: Cluster, it: Installation, wanted: Sequence[Manifest], *, dry_run: bool = False
) -> Iterator[Changed]:
    """Take away what the installation had and has no more."""
    kept = {(one["kind"], name_of(one)) for one in wanted}
    for kind in _PRUNED:
        for found in _ours(cluster, kind, it.name, it.namespace):
            name = name_of(found)
            if (kind, name) in kept:
                continue
            if not dry_run:
                cluster.delete(kind, name, it.namespace)
            yield Changed(kind=kind, name=name, change="deleted")


def _ours(cluster: Cluster, kind: str, name: str, namespace: str) -> list[Object]:
    """What we made of a kind; what a controller made of it for us has its labels, too, and an owner."""
    labels = {"app.kubernetes.io/instance": name, MANAGED_BY_LABEL: MANAGER}
    try:
        found = cluster.all_(kind, namespace, labels=labels)
    except Forbidden:
        if kind in ("ScaledObject", "ServiceMonitor"):
            return []  # who may not look at these has not installed one
        raise
    return [one for one in found if not one["metadata"].get("ownerReferences")]


def _differing(before: Object, after: Object) -> list[str]:
    """The paths of the fields that are not what they were, as far as anybody has said them."""
    return sorted({path for path in _paths(_said(before), _said(after), "")})


def _said(thing: Object) -> Object:
    metadata = {name: part for name, part in thing["metadata"].items() if name not in _NOT_SAID}
    return {
        **{name: part for name, part in thing.items() if name not in ("status", "kind", "apiVersion")},
        "metadata": metadata,
    }


def _paths(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        left, right = cast("Mapping[str, Any]", one), cast("Mapping[str, Any]", other)
        for name in left.keys() | right.keys():
            yield from _paths(left.get(name), right.get(name), f"{path}.{name}")
    elif (
        isinstance(one, list)
        and isinstance(other, list)
        and len(cast("list[Any]", one)) == len(cast("list[Any]", other))
    ):
        for place, pair in enumerate(zip(cast("list[Any]", one), cast("list[Any]", other), strict=True)):
            yield from _paths(*pair, f"{path}[{place}]")
    elif one != other:
        yield path
