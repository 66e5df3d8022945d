"""A Job that takes one execution of a queue and ends: what a provisioner of workers on demand needs.

    start(spec: JobWorker, owner: str, progress) -> None
    ended(name: str, namespace: str) -> Over | None         how it ended, None while it runs or waits for a place
    remove(name: str, namespace: str) -> bool               whether it was there
    left_by(owner: str, namespace: str) -> list[str]        the names of what an owner has not removed

Nothing here is asynchronous. The cluster is that of KUBECONFIG, of ~/.kube/config, or of the pod that we run in, whose
account then needs to get, list, create and delete Jobs, create Secrets, list Pods and get their logs. Jobs are
labelled, so that whoever comes after a crash finds what was left; and a cluster removes them by itself: some time after
their end, and when they live longer than `deadline_s`.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from kubiya_workers.contracts.errors import Invalid, NotFound, Refusal
from kubiya_workers.contracts.pool import PodSeen
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.proxies import is_loopback

from ..docker.single import Over
from ..docker.spec import IMAGE, STOP_S
from ..worker_process import said_last
from . import pods
from .cluster import Cluster, connected
from .manifests import MADE_BY_US
from .objects import Object, entries, holds, name_of, part, worker_of
from .pods import Manifest
from .rollout import hopeless, pod_seen
from .spec import CONTAINER, NAMESPACE, QUEUE, check_name
from .values import OF_THE_POD, Resources

LABEL = "io.kubiya.single/owner"
_OF_JOB = "batch.kubernetes.io/job-name"
_LAST_WORDS = 4
_LIVES_S = 86_400
KEPT_S = 3_600
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
    deadline_s: int = _LIVES_S
    """How long it may live at most."""
    kept_s: int | None = KEPT_S
    """How long it is kept after its end when nobody removes it; None for ever."""
    secret: str = field(default_factory=lambda: f"worker-{secrets.token_hex(8)}")
    """What its Secret is called: anew each time, since that of a Job before it goes a little later than the Job."""


def start(spec: JobWorker, owner: str, progress: Progress) -> None:
    """Start a Job for one execution. `owner` names whoever is to remove it: see `left_by`.

    Raises:
        Conflict: there is a Job of this name.
        Invalid: no pod can reach its control plane, or the cluster does not take it.
        NotFound: there is no such namespace.
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


def ended(name: str, namespace: str = NAMESPACE) -> Over | None:
    """How it ended, or why it never will begin; None while it runs, or waits for a place or its image.

    Raises:
        NotFound: there is no such Job.
        Refusal: the cluster refuses, or does not answer.
    """
    with connected() as cluster:
        found = cluster.get("Job", name, namespace)
        if found is None:
            raise NotFound(f"there is no Job {name} in {namespace}")
        if holds(found, "Complete"):
            return Over(0, "")
        pods_ = cluster.all_("Pod", namespace, labels={_OF_JOB: name})
        if holds(found, "Failed"):
            return _failed(cluster, found, pods_)
        seen = [pod_seen(pod) for pod in pods_]
        return next((Over(None, pod.reason or "") for pod in seen if _cannot_begin(pod)), None)


def remove(name: str, namespace: str = NAMESPACE) -> bool:
    """Remove it and its pod, whether that runs or not; whether it was there."""
    with connected() as cluster:
        return cluster.delete("Job", name, namespace)


def left_by(owner: str, namespace: str = NAMESPACE) -> list[str]:
    """The names of the Jobs that an owner has started and not removed."""
    with connected() as cluster:
        return [name_of(one) for one in cluster.all_("Job", namespace, labels={LABEL: _label(owner)})]


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
            **({} if spec.kept_s is None else {"ttlSecondsAfterFinished": spec.kept_s}),
            "template": {"metadata": {"labels": labels}, "spec": _pod(spec)},
        },
    }


def _pod(spec: JobWorker) -> Manifest:
    resources = Resources.within(spec.cpu, spec.memory).model_dump()
    env = [*pods.of_the_cluster(), *pods.told({v.QUEUE_ID.name: spec.queue, v.CPU_LIMIT.name: spec.cpu})]
    worker = pods.container(spec.image, pods.pulled(spec.image, spec.image_pull_policy), env, resources)
    worker["envFrom"] = [{"secretRef": {"name": spec.secret}}]
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
    metadata = {**_named(spec), "name": spec.secret, "labels": MADE_BY_US, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "stringData": content}


def _named(spec: JobWorker) -> dict[str, str]:
    return {"name": spec.name, "namespace": spec.namespace}


def _check(spec: JobWorker) -> None:
    check_name("the Job", spec.name)
    if is_loopback(urlsplit(spec.url).hostname or ""):
        raise Invalid(
            f"{spec.url} is reached from its own machine alone, and by no pod",
            fix="give the control plane an address that pods can reach: KUBIYA_PUBLIC_URL",
        )


def _label(owner: str) -> str:
    """An owner as a label, which not every text can be."""
    return owner if _AS_LABEL.fullmatch(owner) else hashlib.sha256(owner.encode()).hexdigest()[:40]


def _failed(cluster: Cluster, found: Object, of_job: list[Object]) -> Over:
    """How a failed Job's worker ended: by itself, or because its cluster ended it."""
    for pod in of_job:
        over = part(worker_of(entries(pod, "status", "containerStatuses")), "state", "terminated")
        if over.get("reason") == "OOMKilled":
            return Over(over["exitCode"], "it was over its memory limit")
        if "exitCode" in over:
            return Over(over["exitCode"], said_last(_last_words(cluster, pod)))
    conditions = [one for one in entries(found, "status", "conditions") if one["type"] == "Failed"]
    return Over(None, conditions[0].get("message") or conditions[0].get("reason") or "its pod was removed")


def _last_words(cluster: Cluster, pod: Object) -> list[str]:
    try:
        said = b"".join(cluster.log(pod["metadata"]["namespace"], name_of(pod), CONTAINER, tail=_LAST_WORDS))
    except Refusal:
        return []  # its pod has just gone, or its log is nobody's here to read
    return [line.partition(" ")[2] for line in said.decode(errors="replace").splitlines()]


def _cannot_begin(pod: PodSeen) -> bool:
    """Whether its image is not to be had: a cluster tries that for ever, and whoever waits wants to know."""
    return hopeless(pod) or (pod.reason or "").startswith("ImagePullBackOff")
