"""The pod of a worker: what it may, what it is told, where it can write. The same for a Deployment and for a Job."""

from collections.abc import Mapping
from typing import Any

from kubiya_workers.settings import variables as v

from ..docker.images import is_ours_alone
from .spec import CONTAINER

Manifest = dict[str, Any]

HEALTH_PORT = 8080
METRICS_PORT = v.METRICS_PORT.default
AUTHORITIES = "authorities.pem"
HOME = "/home/kubiya"
_WRITABLE = {"home": HOME, "work": "/work", "tmp": "/tmp"}
_TRUSTED = "/etc/kubiya"
_INNER_LOG = ("--max-log-size=4Mi", "--max-log-backups=1")
"""What the cluster keeps of a pod's log is the log; the one in the pod takes its memory or its disk."""


def security() -> Manifest:
    """A pod's part of the Pod Security Standard "restricted". No user is named: the image's own is no root, and a
    cluster that chooses one for each namespace may do so."""
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def pulled(image: str, policy: str) -> str:
    """When a node fetches an image. In a registry, the name of the one that `make image` makes would be somebody's."""
    return policy or ("Never" if is_ours_alone(image) else "IfNotPresent")


def container(image: Any, pull: Any, env: list[Manifest], resources: Any) -> Manifest:
    """The worker's container, without its probes and ports."""
    return {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": pull,
        "command": ["kubiya", "worker", "start"],
        "args": ["--queue-id=$(QUEUE_ID)", "--type=local", *_INNER_LOG],
        "env": env,
        "resources": resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in _WRITABLE.items()],
    }


def volumes() -> list[Manifest]:
    """The directories that are writable, gone with the pod."""
    return [{"name": name, "emptyDir": {}} for name in _WRITABLE]


def told(env: Mapping[str, Any]) -> list[Manifest]:
    return [{"name": name, "value": value} for name, value in env.items()]


def from_secret(variable: str, secret: Any, key: Any) -> Manifest:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def of_the_cluster() -> list[Manifest]:
    """What only the cluster knows: the pod's name, and its memory in bytes."""
    return [
        {"name": v.WORKER_HOSTNAME.name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {
            "name": v.MEMORY_LIMIT.name,
            "valueFrom": {"resourceFieldRef": {"containerName": CONTAINER, "resource": "limits.memory"}},
        },
    ]


def probes() -> Manifest:
    """Slow to say that it does not start, quick to say that it takes no work, and patient before it is killed."""

    def asked(path: str, **times: int) -> Manifest:
        return {"httpGet": {"path": path, "port": "health"}, **times}

    return {
        "startupProbe": asked("/livez", periodSeconds=2, timeoutSeconds=2, failureThreshold=90),
        "livenessProbe": asked("/livez", periodSeconds=10, timeoutSeconds=5, failureThreshold=3),
        "readinessProbe": asked("/readyz", periodSeconds=5, timeoutSeconds=5, failureThreshold=1),
    }


def trusting(pod: Manifest, config: Any) -> None:
    """Have a pod trust the authorities that stand in a ConfigMap, instead of its image's."""
    (worker,) = pod["containers"]
    pod["volumes"].append({"name": "authorities", "configMap": {"name": config, "items": [_item(AUTHORITIES)]}})
    worker["volumeMounts"].append({"name": "authorities", "mountPath": _TRUSTED, "readOnly": True})
    worker["env"].append({"name": "SSL_CERT_FILE", "value": f"{_TRUSTED}/{AUTHORITIES}"})


def _item(key: str) -> Manifest:
    return {"key": key, "path": key}
