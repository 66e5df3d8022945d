"""An installation as the objects of a cluster. Decided from values; the Helm chart is rendered here, too."""

import hashlib
import json
from typing import Any, cast

from kubiya_workers.settings import variables as v

from . import pods
from .pods import Manifest
from .spec import MANAGED_BY_LABEL, MANAGER, Installation
from .values import Autoscaler

MADE_BY_US = {MANAGED_BY_LABEL: MANAGER}
CONFIG_HASH = "io.kubiya.worker/config"
_SECRET_VERSION = "io.kubiya.worker/secret-version"


def rendered(it: Installation, *, secret_version: str = "") -> list[Manifest]:
    """All objects of a namespace's inside, in the order in which they are applied.

    Args:
        secret_version: the version of the key's Secret: pods are replaced when that changes.
    """
    parts = [*_secret(it), _config(it), *_authorities(it), _deployment(it, secret_version), _disruption(it)]
    if it.values.network_policy.enabled:
        parts.append(_network(it))
    if it.values.monitoring.enabled:
        parts += [_metrics(it), _monitor(it)]
    match it.values.autoscaling.by:
        case Autoscaler.CPU:
            parts.append(_autoscaler(it))
        case Autoscaler.BACKLOG:
            parts.append(_scaled(it))
        case Autoscaler.NONE:
            pass
    return parts


def namespace(name: str) -> Manifest:
    """A namespace of ours alone: nothing but pods of the restricted profile may run in it."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _object(it: Installation, api: str, kind: str, name: str, **body: Any) -> Manifest:
    metadata = {"name": name, "namespace": it.namespace, "labels": it.labels, "annotations": it.annotations}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **body}


def _secret(it: Installation) -> list[Manifest]:
    key = {it.values.secret.key: it.key} if it.key is not None else {}
    content = {**key, **it.secrets}
    return [_object(it, "v1", "Secret", it.own_secret, type="Opaque", stringData=content)] if content else []


def _config(it: Installation) -> Manifest:
    return _object(it, "v1", "ConfigMap", it.config, data=_settings(it))


def _settings(it: Installation) -> dict[str, str]:
    found = dict(it.values.settings)
    if it.values.monitoring.enabled:
        found |= {v.METRICS_ENABLED.name: "true", v.METRICS_PORT.name: str(pods.METRICS_PORT)}
    return found


def _authorities(it: Installation) -> list[Manifest]:
    """Apart from the settings: those become variables, all of them."""
    content = it.values.authorities
    return [_object(it, "v1", "ConfigMap", it.authorities, data={pods.AUTHORITIES: content})] if content else []


def _deployment(it: Installation, secret_version: str) -> Manifest:
    replicas = {"replicas": it.values.replicas} if it.fixed else {}
    content = {**_settings(it), pods.AUTHORITIES: it.values.authorities}
    changes = {CONFIG_HASH: _hash(content), _SECRET_VERSION: secret_version}
    annotations = {**{name: value for name, value in changes.items() if value}, **it.values.pod_annotations}
    spec = {
        **replicas,
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": it.selector},
        # A worker that is replaced drains while the next one polls already.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {"metadata": {"labels": it.labels, "annotations": annotations}, "spec": _pod(it)},
    }
    return _object(it, "apps/v1", "Deployment", it.name, spec=spec)


def _hash(content: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _pod(it: Installation) -> Manifest:
    values = it.values
    resources = values.resources.model_dump()
    worker = pods.container(values.image, pods.pulled(values.image, values.image_pull_policy), _env(it), resources)
    worker |= {"envFrom": [{"configMapRef": {"name": it.config}}], "ports": _ports(it), **pods.probes()}
    pod: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.security(),
        "terminationGracePeriodSeconds": values.termination_grace_period_seconds,
        "topologySpreadConstraints": [_apart(it)],
        "containers": [worker],
        "volumes": pods.volumes(),
    }
    if values.authorities:
        pods.trusting(pod, it.authorities)
    return pod | {name: value for name, value in _placed(it).items() if value}


def _placed(it: Installation) -> Manifest:
    """Where it runs, and as whom; left out where nothing is said."""
    return {
        "serviceAccountName": it.values.service_account_name,
        "imagePullSecrets": _plain(it.values.image_pull_secrets),
        "nodeSelector": it.values.node_selector,
        "tolerations": _plain(it.values.tolerations),
        "affinity": it.values.affinity,
    }


def _plain(entries: Any) -> Any:
    """A tuple as the list that YAML has for it."""
    return list(cast("tuple[Any, ...]", entries)) if isinstance(entries, tuple) else entries


def _apart(it: Installation) -> Manifest:
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": it.selector},
    }


def _env(it: Installation) -> list[Manifest]:
    values = it.values
    return [
        pods.from_secret(v.API_KEY.name, it.secret, values.secret.key),
        *(pods.from_secret(name, it.own_secret, name) for name in sorted(it.secrets)),
        *pods.told({v.CONTROL_PLANE_URL.name: values.control_plane_url, v.QUEUE_ID.name: values.queue}),
        *pods.of_the_cluster(),
        *pods.told(
            {
                v.CPU_LIMIT.name: values.resources.limits.cpu,
                v.HEALTH_ADDR.name: f"0.0.0.0:{pods.HEALTH_PORT}",
                v.WEBUI.name: "false",
            }
        ),
        *values.env,
    ]


def _ports(it: Installation) -> list[Manifest]:
    metrics = [{"name": "metrics", "containerPort": pods.METRICS_PORT}] if it.values.monitoring.enabled else []
    return [{"name": "health", "containerPort": pods.HEALTH_PORT}, *metrics]


def _disruption(it: Installation) -> Manifest:
    spec = {
        "maxUnavailable": 1,
        "selector": {"matchLabels": it.selector},
        # A pod that does no work does not keep its node from being emptied.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return _object(it, "policy/v1", "PodDisruptionBudget", it.name, spec=spec)


def _network(it: Installation) -> Manifest:
    """Nobody but a Prometheus speaks to a worker; the node's own probes are not asked for."""
    metrics: Manifest = {"ports": [{"port": pods.METRICS_PORT, "protocol": "TCP"}], "from": [{"namespaceSelector": {}}]}
    spec = {
        "podSelector": {"matchLabels": it.selector},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [metrics] if it.values.monitoring.enabled else [],
        "egress": _plain(it.values.network_policy.egress),
    }
    return _object(it, "networking.k8s.io/v1", "NetworkPolicy", it.name, spec=spec)


def _metrics(it: Installation) -> Manifest:
    port = {"name": "metrics", "port": pods.METRICS_PORT, "targetPort": pods.METRICS_PORT}
    # A worker that takes no work is looked at all the same.
    spec = {"ports": [port], "selector": it.selector, "publishNotReadyAddresses": True}
    return _object(it, "v1", "Service", it.metrics, spec=spec)


def _monitor(it: Installation) -> Manifest:
    found = _object(it, "monitoring.coreos.com/v1", "ServiceMonitor", it.name)
    found["metadata"]["labels"] = {**it.labels, **it.values.monitoring.labels}
    endpoint = {"port": "metrics", "interval": it.values.monitoring.interval}
    return found | {"spec": {"selector": {"matchLabels": it.selector}, "endpoints": [endpoint]}}


def _target(it: Installation) -> Manifest:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": it.name}


def _autoscaler(it: Installation) -> Manifest:
    spec = {
        "scaleTargetRef": _target(it),
        "minReplicas": it.values.autoscaling.min_replicas,
        "maxReplicas": it.values.autoscaling.max_replicas,
        "metrics": [_utilization("cpu", 70), _utilization("memory", 80)],
        "behavior": _behavior(),
    }
    return _object(it, "autoscaling/v2", "HorizontalPodAutoscaler", it.autoscaler, spec=spec)


def _utilization(resource: str, percent: int) -> Manifest:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": resource, "target": target}}


def _behavior() -> Manifest:
    return {
        "scaleDown": {
            "stabilizationWindowSeconds": 300,
            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
        },
        "scaleUp": {
            "stabilizationWindowSeconds": 60,
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 30},
                {"type": "Pods", "value": 2, "periodSeconds": 30},
            ],
            "selectPolicy": "Max",
        },
    }


def _scaled(it: Installation) -> Manifest:
    """KEDA's Temporal scaler, https://keda.sh/docs/2.22/scalers/temporal/: what it is told are strings."""
    scaling = it.values.autoscaling
    trigger: Manifest = {
        "type": "temporal",
        "metadata": {
            "endpoint": scaling.temporal.address,
            "namespace": scaling.temporal.namespace,
            "taskQueue": scaling.temporal.task_queue,
            "queueTypes": "workflow,activity",
            "targetQueueSize": str(scaling.target_queue_size),
            "activationTargetQueueSize": "0",
            # A run that waits for a tool or a person has no task in the queue, and still needs a worker.
            "includeRunningWorkflowCount": "true",
        },
    }
    if scaling.temporal.authentication:
        trigger["authenticationRef"] = {"name": scaling.temporal.authentication}
    spec = {
        "scaleTargetRef": _target(it),
        "minReplicaCount": scaling.min_replicas,
        "maxReplicaCount": scaling.max_replicas,
        "pollingInterval": 15,
        "cooldownPeriod": 300,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": _behavior()}},
        "triggers": [trigger],
    }
    return _object(it, "keda.sh/v1alpha1", "ScaledObject", it.name, spec=spec)
