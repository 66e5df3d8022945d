"""A Job that takes one execution of a queue and ends: what a provisioner of workers on demand needs.

    start(spec: JobWorker, owner: str, progress) -> str          its id, "namespace/name"
    ended(job: str) -> int | None                                 its exit status, None while it runs
    remove(job: str) -> bool                                      whether it was there
    left_by(owner: str, namespace: str = "kubiya") -> list[str]   the ids of what an owner has not removed

Nothing here is asynchronous. The cluster is that of KUBECONFIG, of ~/.kube/config, or of the pod that we run in, whose
account then needs to create, get, list and delete Jobs, create Secrets, and list Pods. Jobs are labelled, so that
whoever comes after a crash finds what was left; and a cluster removes them by itself: an hour after their end, and
when they live longer than `deadline_s`.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from kubiya_workers.contracts.errors import Invalid, NotFound
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.proxies import is_loopback

from ..docker.spec import IMAGE, STOP_S
from . import pods
from .cluster import Cluster, connected
from .manifests import MADE_BY_US
from .objects import Object, entries, holds, name_of, part, worker_of
from .pods import Manifest
from .spec import NAMESPACE, QUEUE, check_name
from .values import OF_THE_POD, Resources

LABEL = "io.kubiya.single/owner"
_OF_JOB = "batch.kubernetes.io/job-name"
_NO_STATUS = 126
_DAY_S, _HOUR_S = 86_400, 3_600
_AS_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class JobWorker:
    """A worker for one execution, as a Job of this name. `env` are its settings, by variable; times in seconds."""

    queue: str
    url: str
    key: str = field(repr=False)
    name: str
    namespace: str = NAMESPACE
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    image: str = IMAGE
    image_pull_policy: str = ""
    """Unless it is said, as for an installation: `pods.pulled`."""
    cpu: str = "1000m"
    memory: str = "2Gi"
    service_account: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict[str, str])
    tolerations: tuple[JsonObject, ...] = ()
    deadline_s: int = _DAY_S
    """How long it may live at most."""
    kept_s: int = _HOUR_S
    """How long it is kept after its end when nobody removes it."""


def start(spec: JobWorker, owner: str, progress: Progress) -> str:
    """A Job for one execution; its id. `owner` names whoever is to remove it: see `left_by`.

    Raises:
        Conflict: there is a Job of this name.
        Invalid: no pod can reach its control plane, or the cluster does not take it.
        Forbidden, Unauthorized, Unavailable: the cluster refuses, or does not answer.
    """
    _check(spec)
    with connected() as cluster:
        progress(f"Starting the Job {spec.name} in {spec.namespace}")
        made = cluster.create(job(spec, owner))
        try:
            # After the Job, and owned by it: whatever happens from here on, it goes when the Job does.
            cluster.create(_secret(spec, made))
        except BaseException:
            cluster.delete("Job", spec.name, spec.namespace)
            raise
        return f"{spec.namespace}/{spec.name}"


def ended(job: str) -> int | None:
    """Its exit status: 0 when its execution completed; None while it runs, or waits for a place.

    Raises:
        NotFound: there is no such Job.
    """
    namespace, name = job.split("/")
    with connected() as cluster:
        found = cluster.get("Job", name, namespace)
        if found is None:
            raise NotFound(f"there is no Job {name} in {namespace}")
        if holds(found, "Complete"):
            return 0
        return _status(cluster, name, namespace) if holds(found, "Failed") else None


def remove(job: str) -> bool:
    """Remove it and its pod, whether that runs or not; whether it was there."""
    namespace, name = job.split("/")
    with connected() as cluster:
        return cluster.delete("Job", name, namespace)


def left_by(owner: str, namespace: str = NAMESPACE) -> list[str]:
    """The Jobs that an owner has started and not removed."""
    with connected() as cluster:
        found = cluster.all_("Job", namespace, labels={LABEL: _label(owner)})
    return [f"{one['metadata']['namespace']}/{name_of(one)}" for one in found]


def job(spec: JobWorker, owner: str) -> Manifest:
    """The Job, whose pod waits for its Secret."""
    labels = {"app": "kubiya-single", **MADE_BY_US, LABEL: _label(owner)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**_named(spec), "labels": labels, "annotations": {QUEUE: spec.queue}},
        "spec": {
            # A step that was under way is another worker's then; this one's end is its owner's business.
            "backoffLimit": 0,
            "activeDeadlineSeconds": spec.deadline_s,
            "ttlSecondsAfterFinished": spec.kept_s,
            "template": {"metadata": {"labels": labels}, "spec": _pod(spec)},
        },
    }


def _pod(spec: JobWorker) -> Manifest:
    resources = Resources.within(spec.cpu, spec.memory).model_dump()
    env = [*pods.of_the_cluster(), *pods.told({v.QUEUE_ID.name: spec.queue, v.CPU_LIMIT.name: spec.cpu})]
    worker = pods.container(spec.image, pods.pulled(spec.image, spec.image_pull_policy), env, resources)
    worker["envFrom"] = [{"secretRef": {"name": spec.name}}]
    placed: dict[str, Any] = {
        "serviceAccountName": spec.service_account,
        "nodeSelector": dict(spec.node_selector),
        "tolerations": list(spec.tolerations),
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.security(),
        "terminationGracePeriodSeconds": STOP_S,
        "containers": [worker],
        "volumes": pods.volumes(),
        **{name: value for name, value in placed.items() if value},
    }


def _secret(spec: JobWorker, made: Object) -> Manifest:
    """Its settings, the key among them."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": spec.name, "uid": made["metadata"]["uid"]}
    fixed = {variable.name for variable in OF_THE_POD}
    content = {
        **{name: value for name, value in spec.env.items() if name not in fixed},
        v.CONTROL_PLANE_URL.name: spec.url,
        v.API_KEY.name: spec.key,
        v.SINGLE_EXECUTION.name: "true",
        v.WEBUI.name: "false",
    }
    metadata = {**_named(spec), "labels": MADE_BY_US, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": content}


def _named(spec: JobWorker) -> dict[str, str]:
    return {"name": spec.name, "namespace": spec.namespace}


def _check(spec: JobWorker) -> None:
    check_name("the Job", spec.name)
    if is_loopback(urlsplit(spec.url).hostname or ""):
        raise Invalid(
            f"{spec.url} is reached from its own machine alone, and by no pod",
            fix="give the control plane an address that pods can reach",
        )


def _label(owner: str) -> str:
    """An owner as a label, which not every text can be."""
    return owner if _AS_LABEL.fullmatch(owner) else hashlib.sha256(owner.encode()).hexdigest()[:40]


def _status(cluster: Cluster, name: str, namespace: str) -> int:
    """The exit status of a failed Job's worker; one of ours where there is none any more."""
    for pod in cluster.all_("Pod", namespace, labels={_OF_JOB: name}):
        state = worker_of(entries(pod, "status", "containerStatuses"))
        if code := part(state, "state", "terminated").get("exitCode"):
            return int(code)
    return _NO_STATUS
