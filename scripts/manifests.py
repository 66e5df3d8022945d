"""Writes `deploy/kubernetes/`: manifests in three variants, and a Helm chart, both rendered as an installation is.

.venv/bin/python scripts/manifests.py            write them
.venv/bin/python scripts/manifests.py --check    exit 1 when they are not what would be written

The chart's templates are woven from renderings: what differs when a value is set stands under a condition on it.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

import kubiya_workers
from kubiya_workers.launchers.docker.spec import IMAGE
from kubiya_workers.launchers.kubernetes import manifests, values
from kubiya_workers.launchers.kubernetes.spec import APP, NAMESPACE, Installation
from kubiya_workers.launchers.kubernetes.values import (
    Autoscaler,
    Autoscaling,
    Limits,
    Monitoring,
    Network,
    Requests,
    Resources,
    SecretChoice,
    Temporal,
    Values,
)

ROOT = Path(__file__).parents[1] / "deploy" / "kubernetes"
URL, QUEUE = "https://control-plane.example.com", "production-queue"
SETTINGS = {"LOG_LEVEL": "INFO", "HEARTBEAT_INTERVAL": "30"}
VARIANTS: dict[str, dict[str, Any]] = {
    "basic": {},
    "autoscaling": {"autoscaling": {"by": "cpu"}},
    "monitoring": {"monitoring": {"enabled": True}},
}
HEAD = """\
# Workers in a cluster: {what}. Made by scripts/manifests.py from what `kubiya worker install` applies.
#
# Before it is applied: CONTROL_PLANE_URL and QUEUE_ID in the Deployment, the key in the Secret, and the image: one that
# your nodes have, or, with another imagePullPolicy, can pull. Then: kubectl apply --server-side -f {name}.yaml
"""
WHAT = {
    "basic": "three pods",
    "autoscaling": "two to ten pods, by their load (needs the metrics server)",
    "monitoring": "three pods, and metrics for the Prometheus operator",
}

# --- the variants


def variant(name: str) -> Installation:
    """What a file of manifests installs, by the names of the manual."""
    found = values.of({"queue": QUEUE, "controlPlaneUrl": URL, "settings": SETTINGS, **VARIANTS[name]})
    return Installation(APP, NAMESPACE, found, key="your-api-key-here", default_secret="kubiya-secrets")


def manifest_file(name: str) -> str:
    objects = [manifests.namespace(NAMESPACE), *manifests.rendered(variant(name))]
    return HEAD.format(what=WHAT[name], name=name) + yaml.safe_dump_all(objects, sort_keys=False)


# --- the chart: values that are expressions

_EXPRESSION = re.compile("⟦(.*?)⟧")
_TEXT_OF_HELM = (".Release.Name", ".Release.Namespace")


def said(path: str) -> Any:
    """A value of the chart as it is."""
    return f"⟦.Values.{path}⟧"


def text(path: str) -> Any:
    return f"⟦.Values.{path} | quote⟧"


def part(path: str) -> Any:
    """A mapping or list of the chart."""
    return f"⟦toYaml .Values.{path}⟧"


def among(path: str) -> Any:
    """What is added to a mapping or list, as its one key or item."""
    return f"⟦among .Values.{path}⟧"


def must(path: str, why: str) -> Any:
    return f'⟦required "{why}" .Values.{path} | quote⟧'


PULLED = (
    '⟦.Values.imagePullPolicy | default (ternary "Never" "IfNotPresent" '
    f'(hasPrefix "{IMAGE.partition(":")[0]}:" .Values.image)) | quote⟧'
)
"""`pods.pulled`, in the chart's language."""


def symbolic(**changes: Any) -> Installation:
    """An installation whose values are the chart's; `changes` are those of `Values`."""
    scaling = Autoscaling.model_construct(
        by=Autoscaler.NONE,
        min_replicas=said("autoscaling.minReplicas"),
        max_replicas=said("autoscaling.maxReplicas"),
        target_queue_size=text("autoscaling.targetQueueSize"),
        temporal=Temporal.model_construct(
            address=must("autoscaling.temporal.address", "autoscaling.temporal.address: host:port of your Temporal"),
            namespace=text("autoscaling.temporal.namespace"),
            task_queue=must("autoscaling.temporal.taskQueue", "autoscaling.temporal.taskQueue: the id of the queue"),
            authentication="",
        ),
    )
    limits = Limits.model_construct(cpu=text("resources.limits.cpu"), memory=text("resources.limits.memory"))
    requests = Requests.model_construct(cpu=text("resources.requests.cpu"), memory=text("resources.requests.memory"))
    fields: dict[str, Any] = {
        "queue": must("queue", "queue: the queue that the workers serve"),
        "control_plane_url": must("controlPlaneUrl", "controlPlaneUrl: an address that pods can reach"),
        "image": text("image"),
        "image_pull_policy": PULLED,
        "image_pull_secrets": "",
        "replicas": said("replicas"),
        "resources": Resources.model_construct(requests=requests, limits=limits),
        "autoscaling": scaling,
        "monitoring": Monitoring.model_construct(enabled=False, interval=text("monitoring.interval"), labels={}),
        "secret": SecretChoice.model_construct(name="", key=text("secret.key")),
        "settings": {among("settings"): ""},
        "env": (among("env"),),
        "authorities": "",
        "service_account_name": "",
        "node_selector": {},
        "tolerations": "",
        "affinity": {},
        "pod_annotations": {among("podAnnotations"): ""},
        "network_policy": Network.model_construct(enabled=True, egress=part("networkPolicy.egress")),
        "termination_grace_period_seconds": said("terminationGracePeriodSeconds"),
    }
    key = must("secret.apiKey", "secret.apiKey, or secret.name for a Secret that has it")
    made = Values.model_construct(**{**fields, **changes})
    return Installation(
        "⟦.Release.Name⟧",
        "⟦.Release.Namespace⟧",
        made,
        key=None if made.secret.name else key,
        managed_by="⟦.Release.Service⟧",
    )


def scaled(by: Autoscaler, **temporal: Any) -> Autoscaling:
    usual = symbolic().values.autoscaling
    told = usual.temporal.model_copy(update=temporal)
    return usual.model_copy(update={"by": by, "temporal": told})


@dataclass(frozen=True)
class Axis:
    """Two renderings that differ in one value, the condition under which the second is meant, and its opposite."""

    when: str
    otherwise: str
    before: Installation
    after: Installation


def axes() -> Iterator[Axis]:
    base, unscaled = symbolic(), "not .Values.autoscaling.by"
    backlog = symbolic(autoscaling=scaled(Autoscaler.BACKLOG))
    signed = symbolic(
        autoscaling=scaled(Autoscaler.BACKLOG, authentication=text("autoscaling.temporal.authentication"))
    )
    monitoring = base.values.monitoring.model_copy(update={"enabled": True, "labels": {among("monitoring.labels"): ""}})
    closed = Network.model_construct(enabled=False, egress="")
    chosen = SecretChoice.model_construct(name=text("secret.name"), key=text("secret.key"))
    yield Axis('eq .Values.autoscaling.by "cpu"', unscaled, base, symbolic(autoscaling=scaled(Autoscaler.CPU)))
    yield Axis('eq .Values.autoscaling.by "backlog"', unscaled, base, backlog)
    yield Axis(".Values.autoscaling.temporal.authentication", "", backlog, signed)
    yield Axis(".Values.monitoring.enabled", "", base, symbolic(monitoring=monitoring))
    yield Axis("", ".Values.networkPolicy.enabled", base, symbolic(network_policy=closed))
    yield Axis(".Values.secret.name", "not .Values.secret.name", base, symbolic(secret=chosen))
    yield Axis(".Values.authorities", "", base, symbolic(authorities=text("authorities")))
    yield Axis(".Values.serviceAccountName", "", base, symbolic(service_account_name=text("serviceAccountName")))
    for field, path in (
        ("image_pull_secrets", "imagePullSecrets"),
        ("node_selector", "nodeSelector"),
        ("tolerations", "tolerations"),
        ("affinity", "affinity"),
    ):
        yield Axis(f".Values.{path}", "", base, symbolic(**{field: part(path)}))


# --- weaving


@dataclass(frozen=True)
class If:
    """Something that is there under a condition."""

    when: str
    then: Any


def documents(it: Installation) -> dict[str, Any]:
    """By kind and name, so that two renderings can be laid side by side."""
    found: dict[str, Any] = {}
    for one in manifests.rendered(it):
        template = one.get("spec", {}).get("template") if one["kind"] == "Deployment" else None
        if template:
            template["metadata"]["annotations"][manifests.CONFIG_HASH] = (
                '⟦printf "%s%s%t" (toJson .Values.settings) .Values.authorities .Values.monitoring.enabled '
                "| sha256sum | trunc 16⟧"
            )
        found[f"{one['kind']}/{one['metadata']['name']}"] = one
    return found


def woven() -> dict[str, Any]:
    found: Any = documents(symbolic())
    for axis in axes():
        found = weave(found, documents(axis.before), documents(axis.after), axis)
    return found


def weave(woven_: Any, before: Any, after: Any, axis: Axis) -> Any:
    """What was woven so far, with the difference between two renderings under the axis' conditions."""
    if before == after:
        return woven_
    if isinstance(woven_, If):
        return replace(woven_, then=weave(woven_.then, before, after, axis))
    if isinstance(before, dict) and isinstance(after, dict):
        return _weave_mapping(woven_, before, after, axis)
    if isinstance(before, list) and isinstance(after, list):
        return _weave_list(woven_, before, after, axis)
    if before in ([], {}, ""):
        return If(axis.when, after)
    return f"⟦if {axis.when}⟧{after}⟦else⟧{before}⟦end⟧"


def _weave_mapping(woven_: Any, before: Mapping[str, Any], after: Mapping[str, Any], axis: Axis) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in woven_.items():
        if name in before and name not in after:
            found[name] = value if isinstance(value, If) else If(axis.otherwise, value)
        elif name in before:
            found[name] = weave(value, before[name], after[name], axis)
        else:
            found[name] = value
    for name in after:
        if name not in before:
            found[name] = If(axis.when, after[name])
    return found


def _weave_list(woven_: list[Any], before: list[Any], after: list[Any], axis: Axis) -> list[Any]:
    if len(before) == len(after):
        return [weave(*parts, axis) for parts in zip(woven_, before, after, strict=True)]
    assert len(after) > len(before), "an axis adds"
    plain = [item for item in woven_ if not isinstance(item, If)]
    assert len(plain) == len(before)
    kept = [weave(*parts, axis) for parts in zip(plain, before, after[: len(before)], strict=True)]
    conditional = [item for item in woven_ if isinstance(item, If)]
    return [*kept, *conditional, *(If(axis.when, item) for item in after[len(before) :])]


# --- writing


_SAME_AGAIN = re.compile(r"(\{\{- if (.*) \}\}\n(?:(?!.*\{\{-).*\n)+) *\{\{- end \}\}\n *\{\{- if \2 \}\}\n")
"""A condition right after its like."""


def template(thing: Any) -> str:
    """A document of the chart."""
    lines = list(_lines(thing.then if isinstance(thing, If) else thing, 0))
    if isinstance(thing, If):
        lines = [f"{{{{- if {thing.when} }}}}", *lines, "{{- end }}"]
    return _SAME_AGAIN.sub(r"\1", "\n".join(lines) + "\n")


def _lines(value: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _entry(name, inner, depth)
    else:
        for item in value:
            if isinstance(item, If):
                yield f"{pad}{{{{- if {item.when} }}}}"
                yield from _item(item.then, depth)
                yield f"{pad}{{{{- end }}}}"
            else:
                yield from _item(item, depth)


def _entry(name: str, value: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, If):
        yield f"{pad}{{{{- if {value.when} }}}}"
        yield from _entry(name, value.then, depth)
        yield f"{pad}{{{{- end }}}}"
    elif name.startswith("⟦among "):
        yield from _among(name, depth)
    elif isinstance(value, str) and value.startswith("⟦toYaml "):
        yield f"{pad}{name}:"
        yield f"{pad}  {{{{- {value[1:-1]} | nindent {2 * (depth + 1)} }}}}"
    elif isinstance(value, dict | list) and value:
        yield f"{pad}{_scalar(name)}:"
        yield from _lines(value, depth + 1)
    else:
        yield f"{pad}{_scalar(name)}: {_scalar(value)}"


def _among(expression: str, depth: int) -> Iterator[str]:
    path = expression.removeprefix("⟦among ").removesuffix("⟧")
    pad = "  " * depth
    yield f"{pad}{{{{- with {path} }}}}"
    yield f"{pad}{{{{- toYaml . | nindent {2 * depth} }}}}"
    yield f"{pad}{{{{- end }}}}"


def _item(item: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(item, str) and item.startswith("⟦among "):
        yield from _among(item, depth)
    elif isinstance(item, dict) and item:
        first, *rest = list(_lines(item, depth + 1))
        assert "{{- if" not in first, "a condition on an item's first entry"
        yield f"{pad}- {first.lstrip()}"
        yield from rest
    else:
        yield f"{pad}- {_scalar(item)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and "⟦" in value:
        whole = _EXPRESSION.fullmatch(value)
        if whole and whole[1] in _TEXT_OF_HELM:
            return f"{{{{ {whole[1]} | quote }}}}"
        return _EXPRESSION.sub(r"{{ \1 }}", value)
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


CHART = {
    "apiVersion": "v2",
    "name": APP,
    "description": "Workers that run AI agents as durable workflows, for a control plane that you own.",
    "type": "application",
    "version": kubiya_workers.__version__,
    "appVersion": kubiya_workers.__version__,
    "kubeVersion": ">=1.27.0-0",
}
VALUES_HEAD = """\
# The values of the chart, which are those of `kubiya worker install --values FILE`, too: docs/kubernetes.md says what
# each means. queue, controlPlaneUrl, and secret.apiKey or secret.name have to be given.
"""


def chart_values() -> dict[str, Any]:
    usual = Values.model_construct(queue="", control_plane_url="")
    return usual.model_dump(mode="json", by_alias=True)


def schema() -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Values.model_json_schema(by_alias=True)}


def chart() -> dict[str, str]:
    files = {f"templates/{_file(name)}.yaml": template(thing) for name, thing in woven().items()}
    return {
        "Chart.yaml": yaml.safe_dump(CHART, sort_keys=False),
        "values.yaml": VALUES_HEAD + yaml.safe_dump(chart_values(), sort_keys=False),
        "values.schema.json": json.dumps(schema(), indent=2) + "\n",
        **files,
    }


def _file(name: str) -> str:
    """`ConfigMap/⟦.Release.Name⟧-config` is `configmap-config`."""
    kind, _, called = name.partition("/")
    ending = _EXPRESSION.sub("", called)
    return kind.lower() + ending if kind == "ConfigMap" else kind.lower()


def files() -> dict[Path, str]:
    found = {ROOT / f"{name}.yaml": manifest_file(name) for name in VARIANTS}
    return found | {ROOT / "chart" / name: content for name, content in chart().items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    wanted = files()
    there = {path for path in ROOT.rglob("*") if path.is_file()}
    stale = [path for path, content in wanted.items() if path not in there or path.read_text() != content]
    left = sorted(there - wanted.keys())
    if parser.parse_args().check:
        for path in [*stale, *left]:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not what would be written: run `make manifests`\n")
        return 1 if stale or left else 0
    for path in left:
        path.unlink()
    for path, content in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
