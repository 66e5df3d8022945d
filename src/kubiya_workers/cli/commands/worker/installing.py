"""`kubiya worker install|uninstall`: workers in a cluster."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubiya_workers.contracts.errors import Unauthorized, Unavailable
from kubiya_workers.contracts.pool import Changed, InstallationRef, Installed
from kubiya_workers.launchers.kubernetes import remembered
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.source import Source
from kubiya_workers.settings.trust import Trust

from ... import talk
from ...connect import reach, settings
from ...exit import Exit, Failed
from ...output import Format, details, output_option, show, show_plain
from ...running import run
from ..words import pairs
from . import in_kubernetes
from .placing import Place, place_options
from .words import queue_option

if TYPE_CHECKING:
    from kubiya_workers.launchers.kubernetes.spec import Installation

_TOLERATION = re.compile(r"(?P<key>[^=:]+)(=(?P<value>[^:]*))?(:(?P<effect>NoSchedule|PreferNoSchedule|NoExecute))?")
_READY_WITHIN_S, _DRAINED_WITHIN_S = 300.0, 60.0


def _tolerations(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> list[dict[str, str]]:
    return [_toleration(word) for given in words for word in given.split(",")]


def _toleration(word: str) -> dict[str, str]:
    """`KEY[=VALUE][:EFFECT]`, as `kubectl taint` writes what is tolerated."""
    found = _TOLERATION.fullmatch(word)
    if found is None:
        raise click.BadParameter(f"{word!r} is not KEY[=VALUE][:NoSchedule|PreferNoSchedule|NoExecute].")
    said = {name: part for name, part in found.groupdict().items() if part is not None}
    return {"operator": "Equal" if "value" in said else "Exists", **said}


@click.command()
@queue_option
@place_options
@click.option("--replicas", type=click.IntRange(0), help="How many pods.  [default: 3]")
@click.option("--image", help="Their image, which the cluster has or can pull.  [default: KUBIYA_WORKER_IMAGE]")
@click.option("--cpu", help="CPUs that a pod may take; a quarter is asked for.  [default: 1000m]")
@click.option("--memory", help="Memory that a pod may take; a quarter is asked for.  [default: 2Gi]")
@click.option("--autoscale", type=click.Choice(["cpu", "backlog"]), help="Scale by load, or by what waits (KEDA).")
@click.option("--min-replicas", type=click.IntRange(0), help="With --autoscale.  [default: 2]")
@click.option("--max-replicas", type=click.IntRange(1), help="With --autoscale.  [default: 10]")
@click.option("--monitoring", is_flag=True, default=None, help="Metrics for the Prometheus operator.")
@click.option("--control-plane-url", help="Where pods reach the control plane, if not by CONTROL_PLANE_URL.")
@click.option("--secret", help="An existing Secret that has the worker's key as api-key.")
@click.option("--service-account", help="Whose permissions pods have in their cloud; no token is mounted.")
@click.option("--node-selector", multiple=True, help="KEY=VALUE: only nodes with this label; may be repeated.")
@click.option(
    "--tolerations", multiple=True, callback=_tolerations, help="KEY[=VALUE][:EFFECT], a taint; may be repeated."
)
@click.option("--values", "file", type=click.Path(path_type=Path), help="A YAML file of values; flags win over it.")
@click.option("--force-conflicts", is_flag=True, help="Take over fields that somebody else has set otherwise.")
@click.option(
    "--timeout", type=click.FloatRange(0), default=_READY_WITHIN_S, show_default=True, help="Seconds to wait."
)
@click.option("--no-wait", is_flag=True, help="Do not wait until the pods are ready.")
@click.option("--dry-run", is_flag=True, help="Change nothing: say what would change, or print it with -o yaml.")
@output_option
def install(
    queue: str,
    place: Place,
    file: Path | None,
    force_conflicts: bool,
    timeout: float,
    no_wait: bool,
    dry_run: bool,
    output: Format,
    **said: Any,
) -> int:
    """Install workers for a queue in a Kubernetes cluster, or change those that are installed.

    What is to be in the cluster is applied by the name of kubiya, so that what others set beside it stays theirs, and
    the command returns when the pods are ready, or with the reason why they are not.

    Their settings are those of this environment; their key goes into a Secret, and is never printed.

    \b
    kubiya worker install --queue prod-queue --replicas 3
    kubiya worker install --queue prod-queue --autoscale cpu --min-replicas 2 --max-replicas 10 --monitoring
    kubiya worker install --queue prod-queue --dry-run
    kubiya worker install --queue prod-queue --dry-run -o yaml | kubectl apply --server-side -f -
    """
    known = settings()
    installation = run(_installation(known, queue, place, file, said))
    if dry_run and output is not Format.TEXT:
        return _printed(installation, output)
    if installation.key is None and not installation.values.secret.name:
        raise Unauthorized(
            "there is no key for the workers: KUBIYA_API_KEY is not set",
            fix="export KUBIYA_API_KEY=…, or --secret NAME for a Secret that has it",
        )
    ref = place.ref(queue, remembered.read(known.paths, queue))
    if dry_run:
        return _tried(ref, installation, force_conflicts)
    changes = _applied(known, ref, installation, force_conflicts)
    seen = _looked(ref) if no_wait else _ready(ref, timeout)
    show(seen.model_copy(update={"changes": changes}), output, _installed)
    return Exit.DONE


async def _installation(
    known: ClientSettings, queue: str, place: Place, file: Path | None, said: Mapping[str, Any]
) -> "Installation":
    """What is to be installed, checked.

    Raises:
        BadSetting: a value cannot be used.
        UsageError: flags contradict each other.
    """
    from kubiya_workers.launchers.kubernetes import spec, values
    from kubiya_workers.launchers.kubernetes.values import Autoscaler

    source = Source.of_process()
    given, secrets = _settings(source)
    layers = _layers(known, queue, source, said)
    layers["settings"] = given
    if said["autoscale"] == Autoscaler.BACKLOG:
        layers["autoscaling"]["temporal"]["taskQueue"] = await _task_queue(known, queue)
    found = values.of(layers, file)
    scales = found.autoscaling.by is not Autoscaler.NONE
    if scales and said["replicas"] is not None:
        raise click.UsageError(
            "--replicas is not for workers that are autoscaled: --min-replicas is the least of them."
        )
    if not scales and (said["min_replicas"] is not None or said["max_replicas"] is not None):
        raise click.UsageError("--min-replicas and --max-replicas are for --autoscale cpu|backlog.")
    before = remembered.read(known.paths, queue)
    return spec.Installation(
        name=place.called(queue, before),
        namespace=place.within(before),
        values=found,
        key=None if found.secret.name else found.secret.api_key or known.key,
        secrets=secrets,
    )


def _settings(source: Source) -> tuple[dict[str, str], dict[str, str]]:
    """A worker's settings in this environment: those that may be seen, and those that are secret."""
    from kubiya_workers.launchers.docker.spec import settings_of
    from kubiya_workers.launchers.kubernetes.values import OF_THE_POD

    fixed = {variable.name for variable in OF_THE_POD}
    secret = {variable.name for variable in v.ALL if variable.secret}
    found = {name: value for name, value in settings_of(source.everything).items() if name not in fixed}
    hidden = {name: value for name, value in found.items() if name.upper() in secret}
    return {name: value for name, value in found.items() if name not in hidden}, hidden


def _layers(known: ClientSettings, queue: str, source: Source, said: Mapping[str, Any]) -> dict[str, Any]:
    """What flags and environment say, by the names of a values file; None where they say nothing."""
    from kubiya_workers.launchers.kubernetes.values import Limits, Resources, read_authorities

    cpu, memory = said["cpu"], said["memory"]
    usual, resources = Limits(), None
    if cpu or memory:
        resources = Resources.within(cpu or usual.cpu, memory or usual.memory).model_dump()
    return {
        "queue": queue,
        "controlPlaneUrl": said["control_plane_url"] or known.url,
        "image": said["image"] or source.get(v.WORKER_IMAGE) or None,
        "replicas": said["replicas"],
        "resources": resources,
        "autoscaling": {
            "by": said["autoscale"],
            "minReplicas": said["min_replicas"],
            "maxReplicas": said["max_replicas"],
            "temporal": {
                "address": source.get(v.TEMPORAL_HOST) or None,
                "namespace": source.text_of(v.TEMPORAL_NAMESPACE.name) or None,
            },
        },
        "monitoring": {"enabled": said["monitoring"]},
        "secret": {"name": said["secret"]},
        "authorities": read_authorities(Trust.of(source).file),
        "serviceAccountName": said["service_account"],
        "nodeSelector": pairs(said["node_selector"], "--node-selector") or None,
        "tolerations": said["tolerations"] or None,
    }


async def _task_queue(known: ClientSettings, queue: str) -> str:
    """The name by which Temporal, and so KEDA, knows the queue; the queue has to be there, and a worker's key will do.

    Raises:
        NotFound: there is no such queue.
    """
    async with reach(known) as reached:
        return str((await reached.client.queues.config(queue))["task_queue_name"])


def _printed(it: "Installation", output: Format) -> int:
    """The manifests, for `kubectl apply` or a repository; without the Secret, whose content is nobody's to read."""
    import json

    import yaml

    from kubiya_workers.launchers.kubernetes.manifests import namespace, rendered
    from kubiya_workers.launchers.kubernetes.spec import NAMESPACE

    # Another one may be there, for other pods too: theirs must not be shut out by what is applied for ours.
    ours = [namespace(NAMESPACE)] if it.namespace == NAMESPACE else []
    shown = [*ours, *(one for one in rendered(it) if one["kind"] != "Secret")]
    if output is Format.JSON:
        click.echo(json.dumps({"apiVersion": "v1", "kind": "List", "items": shown}, indent=2))
    else:
        click.echo(yaml.safe_dump_all(shown, sort_keys=False, allow_unicode=True), nl=False)
    keys = [] if it.values.secret.name else [it.values.secret.key]
    if wanted := [*keys, *it.secrets]:
        talk.note(
            f"The Secret {it.own_secret} is not printed. Make it with the keys {', '.join(wanted)}, for one by:\n"
            f"  kubectl create secret generic {it.own_secret} -n {it.namespace} --from-file={wanted[0]}=/dev/stdin"
        )
    return Exit.DONE


def _tried(ref: InstallationRef, it: "Installation", force: bool) -> int:
    """What would change, as the cluster says it."""
    from kubiya_workers.launchers.kubernetes import applying
    from kubiya_workers.launchers.kubernetes.cluster import connected

    try:
        with connected(ref.kubeconfig, ref.context) as cluster:
            changes = list(applying.install(cluster, it, force=force, dry_run=True))
    except Unavailable as error:
        raise Unavailable(error.detail, fix=f"{error.fix}; --dry-run -o yaml needs no cluster") from None
    click.echo("\n".join(_would(change) for change in changes))
    if any(change.kind == "Namespace" for change in changes):
        talk.note(f"The namespace {ref.namespace} is not there yet: the cluster has not checked what is to be in it.")
    return Exit.DONE


def _would(change: Changed) -> str:
    what = "unchanged" if change.change == "unchanged" else f"would be {change.change}"
    return f"{change.kind} {change.name}: {what}" + (f": {', '.join(change.fields)}" if change.fields else "")


def _applied(known: ClientSettings, ref: InstallationRef, it: "Installation", force: bool) -> tuple[Changed, ...]:
    from kubiya_workers.launchers.kubernetes import applying
    from kubiya_workers.launchers.kubernetes.cluster import connected

    changes: list[Changed] = []
    with connected(ref.kubeconfig, ref.context) as cluster:
        for change in applying.install(cluster, it, force=force):
            if not changes:
                remembered.write(known.paths, ref.queue, ref)  # whatever happens next, it can be taken away from here
            changes.append(change)
            talk.note(f"{change.kind} {change.name} {change.change}")
    return tuple(changes)


def _looked(ref: InstallationRef) -> Installed:
    from kubiya_workers.launchers.kubernetes.cluster import connected
    from kubiya_workers.launchers.kubernetes.looking import look

    with connected(ref.kubeconfig, ref.context) as cluster:
        return look(cluster, ref)


def _ready(ref: InstallationRef, timeout: float) -> Installed:
    """Raises Failed: the pods are not ready; with what is known of why."""
    from kubiya_workers.launchers.kubernetes.cluster import connected
    from kubiya_workers.launchers.kubernetes.looking import NotReady, until_ready

    try:
        with connected(ref.kubeconfig, ref.context) as cluster:
            return until_ready(cluster, ref, timeout, talk.note)
    except NotReady as error:
        raise Failed(
            f"the workers of queue {ref.queue} are installed and not ready: {error.why}", fix=_next(ref, error.why)
        ) from None


def _next(ref: InstallationRef, why: str) -> str:
    if "ErrImageNeverPull" in why:
        return (
            "load the image into the cluster's nodes, or push it where they pull from: --image REGISTRY/NAME:TAG "
            "(docs/kubernetes.md)"
        )
    return f"kubiya worker status --queue-id={ref.queue}; kubiya worker logs --queue-id={ref.queue}"


def _installed(seen: Installed) -> str:
    queue = seen.ref.queue
    facts = details(
        (
            ("Queue", queue),
            *in_kubernetes.described(seen),
            ("Look", f"kubiya worker status --queue-id={queue}"),
            ("Log", f"kubiya worker logs --queue-id={queue} --follow"),
            ("Remove", f"kubiya worker uninstall --queue-id={queue}"),
        )
    )
    return f"Installed the workers of queue {queue}: {in_kubernetes.pods_of(seen)}.\n{facts}"


@click.command()
@queue_option
@place_options
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    default=_DRAINED_WITHIN_S,
    show_default=True,
    help="Seconds to wait until the pods have drained.",
)
@click.option("--dry-run", is_flag=True, help="Change nothing: say what would be deleted.")
@output_option
def uninstall(queue: str, place: Place, timeout: float, dry_run: bool, output: Format) -> int:
    """Take the workers of a queue out of a Kubernetes cluster.

    Its pods finish or hand back what they do. The namespace stays, and so does a Secret that was not made by install.
    Taking out what is not there is no failure.
    """
    known = settings()
    ref = place.ref(queue, remembered.read(known.paths, queue))
    changes = _taken_out(ref, timeout, dry_run)
    if not dry_run:
        remembered.forget(known.paths, queue)
    show_plain({"queue": queue, "deleted": [_named(one) for one in changes]}, output, _gone(ref, changes, dry_run))
    return Exit.DONE


def _taken_out(ref: InstallationRef, timeout: float, dry_run: bool) -> list[Changed]:
    from kubiya_workers.launchers.kubernetes import applying, looking
    from kubiya_workers.launchers.kubernetes.cluster import connected

    with connected(ref.kubeconfig, ref.context) as cluster:
        changes: list[Changed] = []
        for change in applying.uninstall(cluster, ref, dry_run=dry_run):
            changes.append(change)
            talk.note(f"{_named(change)} {'would be ' if dry_run else ''}deleted")
        left = 0 if dry_run else looking.until_gone(cluster, ref, timeout, talk.note)
    if left:
        talk.note(f"{left} pods are still draining; the cluster ends them.")
    return changes


def _named(change: Changed) -> str:
    return f"{change.kind} {change.name}"


def _gone(ref: InstallationRef, changes: Iterable[Changed], dry_run: bool) -> str:
    if not list(changes):
        return f"No workers of queue {ref.queue} are installed in {ref.namespace}."
    return "Nothing was changed." if dry_run else f"The workers of queue {ref.queue} are no longer installed."
