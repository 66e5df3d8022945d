"""What makes a cluster of an API: a deployment controller, autoscalers, the Job controller, and nodes that run pods.

A pod does not run anything but with the `Fate` that says so; else that says what becomes of it.
"""

import base64
import copy
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum

from .api import Api, Refused, now
from .fields import Object

_TURN_S = 0.03
_REVISION, _HASH = "deployment.kubernetes.io/revision", "pod-template-hash"
_RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


class Fate(StrEnum):
    READY = "ready"
    NOT_READY = "not ready"
    """It runs, and its probe fails."""
    NO_IMAGE = "no image"
    CRASHES = "crashes"
    NO_SECRET = "no secret"
    NO_PLACE = "no place"
    QUOTA = "quota"
    """No pod is made at all."""
    ENDS_WELL = "ends well"
    ENDS_BADLY = "ends badly"
    RUNS = "runs"
    """What is in its container is run, as a process of this machine: `Nodes.program`."""


class Nodes:
    """The controllers. `fate` is that of pods to come; those that are there keep theirs."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.fate = Fate.READY
        self.draining = False
        """Pods that are to end take their time."""
        self.program: Callable[[dict[str, str]], subprocess.Popen[bytes]] | None = None
        """Runs what is in a pod's container, with the environment that comes from its Secret."""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._fates: dict[str, Fate] = {}
        self._count = 0
        self._over = threading.Event()

    def turn(self) -> None:
        """Bring everything a step nearer to what it is to be."""
        with self.api.changed:
            for scaler in self.api.list("horizontalpodautoscalers"):
                self._scale(scaler, "kube-controller-manager", scaler["spec"]["minReplicas"])
            for deployment in self.api.list("deployments"):
                self._deployment(deployment)
            for job in self.api.list("jobs"):
                self._job(job)
            for pod in self.api.list("pods"):
                self._pod(pod)

    def _scale(self, scaler: Object, manager: str, least: int) -> None:
        key = ("deployments", scaler["metadata"]["namespace"], scaler["spec"]["scaleTargetRef"]["name"])
        target = self.api.objects.get(key)
        if target is not None and target["spec"]["replicas"] < least:
            self.api.change(key, manager, lambda thing: thing["spec"].update(replicas=least))

    def _deployment(self, deployment: Object) -> None:
        namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
        version = str(deployment["metadata"]["generation"]) if self._is_new(deployment) else self._version(deployment)
        newest = self._replica_set(deployment, version)
        pods = [pod for one in self._owned("replicasets", deployment) for pod in self._owned("pods", one)]
        alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        new = [pod for pod in alive if pod["metadata"]["labels"][_HASH] == newest["metadata"]["labels"][_HASH]]
        old = [pod for pod in alive if pod not in new]
        wanted, conditions = deployment["spec"]["replicas"], []
        if len(new) < wanted and self.fate is Fate.QUOTA:
            message = "pods is forbidden: exceeded quota: small, requested: limits.memory=2Gi, used: 0, limited: 1Gi"
            conditions = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]
        elif len(new) < wanted:
            self._make_pod(newest)
        for pod in old[:1] if _ready(new) >= min(wanted, len(new)) else []:
            self.api.delete(("pods", namespace, pod["metadata"]["name"]))
        for pod in new[wanted:]:
            self.api.delete(("pods", namespace, pod["metadata"]["name"]))
        ready = _ready(alive)
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(pods),
            "updatedReplicas": len(new),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "conditions": conditions,
        }
        self._say(("deployments", namespace, name), {**status, "version": version})

    def _replica_set(self, deployment: Object, version: str) -> Object:
        """That of a version of a Deployment; made when there is none yet."""
        namespace, name = deployment["metadata"]["namespace"], f"{deployment['metadata']['name']}-7d9f{version}"
        deployment["metadata"].setdefault("annotations", {})[_REVISION] = version
        there = self.api.objects.get(("replicasets", namespace, name))
        if there is not None:
            return there
        template = copy.deepcopy(deployment["spec"]["template"])
        template["metadata"]["labels"][_HASH] = f"7d9f{version}"
        metadata = {
            "name": name,
            "labels": template["metadata"]["labels"],
            "annotations": {_REVISION: version},
            "ownerReferences": [_owner(deployment)],
        }
        spec = {"selector": {"matchLabels": template["metadata"]["labels"]}, "template": template}
        made = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
        return self.api.create("replicasets", namespace, made, "kube-controller-manager")

    @staticmethod
    def _is_new(deployment: Object) -> bool:
        return deployment.get("status", {}).get("template") != deployment["spec"]["template"]

    @staticmethod
    def _version(deployment: Object) -> str:
        return deployment["status"]["version"]

    def _say(self, key: tuple[str, str, str], status: Object) -> None:
        thing = self.api.objects.get(key)
        if thing is None:
            return
        said = {**status, "template": copy.deepcopy(thing["spec"]["template"])}
        if thing.get("status") != said:
            thing["status"] = said
            self.api.version += 1
            thing["metadata"]["resourceVersion"] = str(self.api.version)
            self.api.tell("MODIFIED", key[0], thing)

    def _owned(self, plural: str, owner: Object) -> list[Object]:
        uid = owner["metadata"]["uid"]
        listed = self.api.list(plural, owner["metadata"]["namespace"])
        return [one for one in listed if any(r["uid"] == uid for r in one["metadata"].get("ownerReferences", ()))]

    def _make_pod(self, owner: Object, **labels: str) -> None:
        self._count += 1
        name = f"{owner['metadata']['name']}-p{self._count:04d}"
        self._fates[name] = self.fate
        template = owner["spec"]["template"]
        metadata = {
            "name": name,
            "labels": {**template["metadata"].get("labels", {}), **labels},
            "annotations": template["metadata"].get("annotations", {}),
            "ownerReferences": [_owner(owner)],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        made = self.api.create("pods", owner["metadata"]["namespace"], pod, "kube-controller-manager")
        made["status"] = {"phase": "Pending", "conditions": []}

    def _pod(self, pod: Object) -> None:
        key = ("pods", pod["metadata"]["namespace"], pod["metadata"]["name"])
        process = self._processes.get(key[2])
        if "deletionTimestamp" in pod["metadata"]:
            if process is not None and process.poll() is None:
                process.terminate()
            elif not self.draining:
                self.api.delete(key)
            return
        if process is not None and pod["status"]["phase"] == "Running" and (code := process.poll()) is not None:
            ended = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
            pod["status"] = _status("Failed" if code else "Succeeded", pod["status"]["conditions"], ended)
        if not pod["status"]["conditions"]:
            status = self._became(pod, self._fates.get(key[2], Fate.READY))
            pod["status"] = status
            self.api.version += 1
            pod["metadata"]["resourceVersion"] = str(self.api.version)
            self.api.tell("MODIFIED", "pods", pod)

    def _became(self, pod: Object, fate: Fate) -> Object:
        name = pod["metadata"]["name"]
        placed = {"type": "PodScheduled", "status": "True"}
        match fate:
            case Fate.READY:
                self.say(name, "[INFO] Ready: polling")
                return _status("Running", [placed, _is_ready("True")], _RUNNING)
            case Fate.NOT_READY:
                self._warn(pod, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
                return _status("Running", [placed, _is_ready("False")], _RUNNING)
            case Fate.NO_SECRET:
                message = 'secret "kubiya-worker-q-secrets" not found'
                return _status("Pending", [placed], _waiting("CreateContainerConfigError", message))
            case Fate.RUNS:
                assert self.program is not None
                self._processes[name] = self.program(self._environment(pod))
                return _status("Running", [placed, _is_ready("True")], _RUNNING)
            case Fate.ENDS_WELL:
                return _status("Succeeded", [placed], {"terminated": {"exitCode": 0}})
            case _:
                return self._never_well(pod, fate, placed)

    def _never_well(self, pod: Object, fate: Fate, placed: Object) -> Object:
        name = pod["metadata"]["name"]
        match fate:
            case Fate.CRASHES:
                self.say(f"{name}/previous", "[ERROR] the key is not known to the control plane")
                last = {"terminated": {"exitCode": 3, "reason": "Error"}}
                back = _waiting("CrashLoopBackOff", "back-off 10s restarting failed container")
                return _status("Running", [placed, _is_ready("False")], back, last=last, restarts=2)
            case Fate.NO_PLACE:
                message = "0/3 nodes are available: 3 Insufficient memory."
                condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
                return {"phase": "Pending", "conditions": [condition]}
            case Fate.ENDS_BADLY:
                self.say(name, "[ERROR] the run failed: model_error")
                return _status("Failed", [placed], {"terminated": {"exitCode": 1}})
            case Fate.NO_IMAGE:
                return _status("Pending", [placed], _without_image(pod["spec"]["containers"][0]))
            case _:
                raise AssertionError(f"no pod is made: {fate}")

    def _environment(self, pod: Object) -> dict[str, str]:
        (worker,) = pod["spec"]["containers"]
        found = {entry["name"]: entry["value"] for entry in worker["env"] if "value" in entry}
        for source in worker["envFrom"]:
            secret = self.api.get("secrets", pod["metadata"]["namespace"], source["secretRef"]["name"])
            found |= {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
        return found

    def _warn(self, pod: Object, reason: str, message: str) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.1"},
            "involvedObject": {"kind": "Pod", "name": name, "namespace": namespace},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": now(),
        }
        self.api.create("events", namespace, event, "kubelet")

    def _job(self, job: Object) -> None:
        if job.get("status", {}).get("conditions"):
            return  # it is over, and gets no other pod when its own is deleted
        pods = self._owned("pods", job)
        if not pods:
            self._make_pod(job, **{"batch.kubernetes.io/job-name": job["metadata"]["name"]})
            return
        ended = {"Succeeded": "Complete", "Failed": "Failed"}.get(pods[0]["status"]["phase"])
        if ended:
            reason = {"reason": "BackoffLimitExceeded"} if ended == "Failed" else {}
            job["status"] = {"conditions": [{"type": ended, "status": "True", **reason}]}

    def say(self, pod: str, line: str) -> None:
        """A pod writes a line of its log."""
        moment = datetime.now(UTC)
        with self.api.changed:
            lines = self.api.logs.setdefault(pod, [])
            written = moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
            lines.append(f"{written}{len(lines) % 1000:03d}Z {moment.isoformat(timespec='milliseconds')[:-6]}Z {line}")
            self.api.changed.notify_all()

    @contextmanager
    def running(self) -> Iterator["Nodes"]:
        def run() -> None:
            while not self._over.wait(_TURN_S):
                try:
                    self.turn()
                except Refused:
                    continue  # what it looked at has just gone

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()
            for process in self._processes.values():
                process.kill()
                process.wait()


def _owner(thing: Object) -> Object:
    metadata = thing["metadata"]
    return {"apiVersion": thing["apiVersion"], "kind": thing["kind"], "name": metadata["name"], "uid": metadata["uid"]}


def _ready(pods: list[Object]) -> int:
    return sum(any(c == _is_ready("True") for c in pod["status"]["conditions"]) for pod in pods)


def _is_ready(status: str) -> Object:
    return {"type": "Ready", "status": status}


def _without_image(container: Object) -> Object:
    image = container["image"]
    if container["imagePullPolicy"] == "Never":
        message = f'Container image "{image}" is not present with pull policy of Never'
        return _waiting("ErrImageNeverPull", message)
    return _waiting("ImagePullBackOff", f'Back-off pulling image "{image}"')


def _waiting(reason: str, message: str) -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def _status(
    phase: str, conditions: list[Object], state: Object, *, last: Object | None = None, restarts: int = 0
) -> Object:
    worker = {"name": "worker", "state": state, "lastState": last or {}, "restartCount": restarts}
    return {"phase": phase, "conditions": conditions, "containerStatuses": [worker]}
