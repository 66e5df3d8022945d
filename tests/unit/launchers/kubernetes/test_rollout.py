"""What the objects of a cluster mean."""

from typing import Any

import pytest

from kubiya_workers.contracts.pool import InstallationRef
from kubiya_workers.launchers.kubernetes import rollout

Object = dict[str, Any]
REF = InstallationRef(name="kubiya-worker-q", namespace="kubiya", queue="q")
PLACED = {"type": "PodScheduled", "status": "True"}
UNPLACED = {**PLACED, "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
READY = {"type": "Ready", "status": "True"}


def a_deployment(wanted: int = 2, *, generation: int = 3, conditions: Any = (), **status: int) -> Object:
    told = {"observedGeneration": generation, "conditions": list(conditions), **status}
    template = {"spec": {"containers": [{"name": "sidecar", "image": "s"}, {"name": "worker", "image": "w:1"}]}}
    return {
        "kind": "Deployment",
        "metadata": {"name": REF.name, "generation": 3},
        "spec": {"replicas": wanted, "template": template},
        "status": told,
    }


def a_pod(*conditions: Object, state: Object | None = None, deleted: bool = False, **status: Any) -> Object:
    worker = {"name": "worker", "restartCount": status.pop("restarts", 0), "state": state or {}}
    worker["lastState"] = status.pop("last", {})
    metadata = {"name": "p-1", **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {})}
    told = {"phase": "Pending", "conditions": list(conditions), "containerStatuses": [worker], **status}
    return {"metadata": metadata, "spec": {"nodeName": "n"}, "status": told}


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message}}


def a_warning(reason: str, message: str, when: str, **times: Any) -> Object:
    return {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": when, **times}


@pytest.mark.parametrize(
    ("deployment", "settled"),
    [
        (a_deployment(replicas=2, updatedReplicas=2, readyReplicas=2, availableReplicas=2), True),
        (
            a_deployment(replicas=3, updatedReplicas=2, readyReplicas=3, availableReplicas=3),
            False,
        ),  # an old one
        (a_deployment(replicas=2, updatedReplicas=1, readyReplicas=2, availableReplicas=2), False),
        (a_deployment(replicas=2, updatedReplicas=2, readyReplicas=1, availableReplicas=1), False),
        (a_deployment(generation=2, replicas=2, updatedReplicas=2, availableReplicas=2), False),  # not yet looked at
        (a_deployment(0), True),
        ({**a_deployment(1), "status": {}}, False),
    ],
)
def test_it_is_settled_when_only_new_pods_are_there_and_ready(deployment: Object, settled: bool) -> None:
    assert rollout.installed(REF, deployment, ()).settled is settled


def test_an_autoscaler_that_has_not_scaled_yet_is_waited_for() -> None:
    one = a_deployment(1, replicas=1, updatedReplicas=1, readyReplicas=1, availableReplicas=1)
    scaler = {"kind": "HorizontalPodAutoscaler", "spec": {"minReplicas": 2, "maxReplicas": 10}}
    seen = rollout.installed(REF, one, (), scaler=scaler)
    assert (seen.settled, seen.autoscaler) == (False, "cpu, 2 to 10")
    assert "its autoscaler has not scaled it yet" in rollout.progress(seen)
    to_zero = {"kind": "ScaledObject", "spec": {"minReplicaCount": 0, "maxReplicaCount": 4}}
    seen = rollout.installed(REF, a_deployment(0), (), scaler=to_zero)
    assert (seen.settled, seen.autoscaler, rollout.progress(seen)) == (True, "backlog, 0 to 4", "no pod is wanted")


def test_what_keeps_pods_from_being_made_is_a_problem() -> None:
    failed = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"}
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "has timed out"}
    fine = {"type": "Available", "status": "False", "message": "no minimum availability"}
    seen = rollout.installed(REF, a_deployment(conditions=[fine, failed, late]), ())
    assert seen.problems == ("exceeded quota: small", "has timed out")
    assert seen.image == "w:1"


@pytest.mark.parametrize(
    ("pod", "events", "reason"),
    [
        (a_pod(PLACED, READY, phase="Running", state={"running": {}}), (), None),
        (
            a_pod({**PLACED, "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}),
            (),
            "Unschedulable: 0/3",
        ),
        (a_pod(PLACED, state=waiting("ErrImagePull", "denied")), (), "ErrImagePull: denied"),
        (
            a_pod(PLACED, state=waiting("CreateContainerConfigError", 'secret "s" not found')),
            (),
            'secret "s" not found',
        ),
        (a_pod(PLACED, state=waiting("ContainerCreating")), (), "ContainerCreating"),
        (
            a_pod(PLACED, state=waiting("ContainerCreating")),
            [a_warning("FailedMount", "no such volume", "2026-01-01T00:00:00Z")],
            "FailedMount: no such volume",
        ),
        (
            a_pod(PLACED, phase="Running", state={"running": {}}),
            [
                a_warning("Unhealthy", "first", "2026-01-01T00:00:00Z"),
                a_warning("Unhealthy", "newest", "", series={"lastObservedTime": "2026-01-01T00:00:09Z"}),
                {**a_warning("Pulled", "image", "2026-01-02T00:00:00Z"), "type": "Normal"},
            ],
            "Unhealthy: newest",
        ),
        (a_pod(PLACED, phase="Running", state={"running": {}}), (), None),
        (
            a_pod(PLACED, state=waiting("CrashLoopBackOff"), last={"terminated": {"exitCode": 6}}),
            (),
            "it crashes again and again: it ended with status 6",
        ),
        (a_pod(PLACED, state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}), (), "over its memory limit"),
    ],
)
def test_the_nearest_cause_is_told(pod: Object, events: Any, reason: str | None) -> None:
    told = rollout.pod_seen(pod, events).reason
    assert told == reason if reason is None else reason in (told or "")


def test_a_pod_that_ends_is_not_ready_and_no_problem() -> None:
    seen = rollout.pod_seen(a_pod(PLACED, READY, phase="Running", state={"running": {}}, deleted=True))
    assert (seen.ready, seen.state, seen.reason) == (False, "Terminating", None)


def test_what_no_waiting_mends() -> None:
    crashes = a_pod(PLACED, state=waiting("CrashLoopBackOff"), last={"terminated": {"exitCode": 1}}, restarts=2)
    once = a_pod(PLACED, state=waiting("CrashLoopBackOff"), last={"terminated": {"exitCode": 1}}, restarts=1)
    for pod, hopeless in (
        (crashes, True),
        (once, False),
        (a_pod(PLACED, state=waiting("InvalidImageName", "bad")), True),
        (a_pod(PLACED, state=waiting("ImagePullBackOff", "back-off")), False),
        (a_pod(PLACED, READY, phase="Running"), False),
    ):
        assert rollout.hopeless(rollout.pod_seen(pod)) is hopeless


def test_pods_that_are_about_to_be_replaced_are_no_reason_to_give_up() -> None:
    def of(version: str, **metadata: Any) -> Object:
        return {"metadata": {"labels": {"pod-template-hash": version}, **metadata}}

    revision = "deployment.kubernetes.io/revision"
    sets = [of("a", annotations={revision: "1"}), of("b", annotations={revision: "2"})]
    crashes = a_pod(PLACED, state=waiting("CrashLoopBackOff"), last={"terminated": {"exitCode": 1}}, restarts=9)
    deployment = a_deployment()
    deployment["metadata"]["annotations"] = {revision: "2"}
    for version, newest in (("a", False), ("b", True)):
        crashes["metadata"]["labels"] = {"pod-template-hash": version}
        (seen,) = rollout.installed(REF, deployment, [crashes], replica_sets=sets).pods
        assert (seen.newest, rollout.hopeless(seen)) == (newest, newest)
    (seen,) = rollout.installed(REF, deployment, [crashes]).pods
    assert (seen.newest, rollout.hopeless(seen)) == (None, True)


def test_one_that_is_not_there() -> None:
    seen = rollout.installed(REF, None, ())
    assert (seen.there, seen.settled, seen.ready) == (False, False, 0)
