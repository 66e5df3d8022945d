"""A cluster: a few calls of its API, with refusals of ours for its errors. The one place that imports the client.

The client is Kubernetes' own: it finds and reads the files that kubectl reads, their plugins, certificates and tokens
included, and a pod's own account. Objects are plain mappings, as the API has them. Nothing here is asynchronous.
"""

import json
import logging
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from kubiya_workers.contracts.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refusal,
    Unauthorized,
    Unavailable,
)
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.source import Source

from .objects import Object, entries, part
from .spec import MANAGER

_TIMES_S = (10, 60)
"""To connect, and until the next word of an answer."""
_APPLY = "application/apply-patch+yaml"
_USUAL = "~/.kube/config"
_IN_A_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
KINDS = {
    "Namespace": ("v1", "namespaces"),
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "Service": ("v1", "services"),
    "Pod": ("v1", "pods"),
    "Event": ("v1", "events"),
    "Deployment": ("apps/v1", "deployments"),
    "ReplicaSet": ("apps/v1", "replicasets"),
    "Job": ("batch/v1", "jobs"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "ServiceMonitor": ("monitoring.coreos.com/v1", "servicemonitors"),
    "ScaledObject": ("keda.sh/v1alpha1", "scaledobjects"),
}
"""The API and the path of each kind that we have to do with."""


class FieldConflict(Conflict):
    """Somebody else has said what we would say otherwise. `fields` are paths as the API writes them."""

    def __init__(self, detail: str, fields: Sequence[str], *, fix: str | None = None) -> None:
        super().__init__(detail, fix=fix)
        self.fields = tuple(fields)


@contextmanager
def connected(kubeconfig: str = "", context: str = "") -> Generator["Cluster"]:
    """The cluster of a kubeconfig's context; without one, of KUBECONFIG, of ~/.kube/config, or of the pod we run in.

    Raises:
        Unavailable: there is no client, or no cluster is configured.
        Unauthorized: what is to fetch the credentials failed.
    """
    configuration = _configuration(kubeconfig or Source.of_process().get(v.KUBECONFIG), context)
    from kubernetes.client import ApiClient

    api: Any = ApiClient(configuration)
    try:
        yield Cluster(api, str(configuration.host))
    finally:
        api.close()


def named(kubeconfig: str = "", context: str = "") -> tuple[str, str]:
    """The file and the context that `connected` would use now, so that a later command finds the same cluster; both
    empty for the cluster of the pod that we run in.

    Raises:
        Unavailable: no cluster is configured.
    """
    file = kubeconfig or Source.of_process().get(v.KUBECONFIG)
    if _is_in_a_pod(file):
        return "", ""
    file = file or _USUAL
    if context:
        return _absolute(file), context
    with _configured(file):
        from kubernetes import config

        contexts = cast("Any", config).list_kube_config_contexts(file)
        return _absolute(file), str(contexts[1]["name"])


def own_namespace() -> str | None:
    """That of the pod we run in; None elsewhere."""
    if not _is_in_a_pod(Source.of_process().get(v.KUBECONFIG)):
        return None
    return _IN_A_POD.with_name("namespace").read_text(encoding="utf-8").strip()


def _absolute(files: str) -> str:
    return os.pathsep.join(str(Path(file).expanduser().absolute()) for file in files.split(os.pathsep) if file)


def _is_in_a_pod(kubeconfig: str) -> bool:
    return not kubeconfig and not Path(_USUAL).expanduser().exists() and _IN_A_POD.exists()


def _configuration(kubeconfig: str, context: str) -> Any:
    file = kubeconfig or _USUAL
    with _configured(file):
        from kubernetes import config
        from kubernetes.client import Configuration

        made: Any = Configuration()
        made.retries = False
        with _plugins_heard() as said:
            if _is_in_a_pod(kubeconfig):
                config.load_incluster_config(client_configuration=made)
            else:
                config.load_kube_config(file, context or None, client_configuration=made, persist_config=False)
    if said:
        raise Unauthorized(f"the credentials for {made.host} could not be had: {'; '.join(said)}")
    return made


@contextmanager
def _configured(file: str) -> Generator[None]:
    """What is wrong with a kubeconfig as a refusal."""
    try:
        from kubernetes.config import ConfigException
    except ImportError:
        raise Unavailable(
            "workers in a cluster need Kubernetes' client, which is not installed",
            fix="pip install 'kubiya-workers[kubernetes]'",
        ) from None
    try:
        yield
    except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"no cluster is configured: {file}: {error}",
            fix="kubectl config get-contexts; then --kubeconfig, --context or KUBECONFIG",
        ) from None


@contextmanager
def _plugins_heard() -> Generator[list[str]]:
    """What the client only logs: that a credential plugin failed. It would go on without credentials."""
    said: list[str] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    root, handler = logging.getLogger(), Heard(logging.ERROR)
    root.addHandler(handler)
    try:
        yield said
    finally:
        root.removeHandler(handler)


class Cluster:
    """A cluster that can be asked; `address` is its API's. Methods raise refusals: NotFound, Conflict, Forbidden,
    Unauthorized, Invalid for what it does not take, Unavailable when it does not answer."""

    def __init__(self, api: Any, address: str) -> None:
        self._api = api  # its types are not complete enough to be checked
        self.address = address

    def serves(self, api_version: str) -> bool:
        """Whether the cluster knows an API, which may be an extension of it."""
        prefix = "/api" if "/" not in api_version else "/apis"
        try:
            self._asked("GET", f"{prefix}/{api_version}")
        except NotFound:
            return False
        return True

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        try:
            return self._asked("GET", _path(kind, namespace, name))
        except NotFound:
            return None

    def all_(
        self, kind: str, namespace: str, *, labels: Mapping[str, str] | None = None, fields: str = ""
    ) -> list[Object]:
        """Those with these labels; empty where the cluster does not know the kind."""
        query = {"labelSelector": _selector(labels or {}), "fieldSelector": fields}
        try:
            found = self._asked("GET", _path(kind, namespace), query=query)
        except NotFound:
            return []
        return [{"kind": kind, **item} for item in entries(found, "items")]

    def apply(self, manifest: Object, *, manager: str = MANAGER, force: bool = False, dry_run: bool = False) -> Object:
        """Have the cluster make an object what a manifest says, as far as that says anything; the object then.

        Source of the protocol: https://kubernetes.io/docs/reference/using-api/server-side-apply/

        Raises:
            FieldConflict: another manager has said otherwise of a field, and nothing is forced.
        """
        metadata = manifest["metadata"]
        path = _path(manifest["kind"], metadata.get("namespace", ""), metadata["name"])
        query = {
            "fieldManager": manager,
            "force": "true" if force else "false",
            "fieldValidation": "Strict",
            "dryRun": "All" if dry_run else "",
        }
        return self._asked("PATCH", path, query=query, body=manifest, kind=_APPLY)

    def create(self, manifest: Object) -> Object:
        path = _path(manifest["kind"], manifest["metadata"]["namespace"])
        return self._asked("POST", path, query={"fieldManager": MANAGER, "fieldValidation": "Strict"}, body=manifest)

    def delete(self, kind: str, name: str, namespace: str) -> bool:
        """Have it deleted, and what it owns; whether it was there."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        try:
            self._asked("DELETE", _path(kind, namespace, name), body=options)
        except NotFound:
            return False
        return True

    def log(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        previous: bool = False,
        since: str = "",
    ) -> Iterator[bytes]:
        """What a container of a pod wrote, in pieces that may end within a line, each line after its time."""
        query = {
            "container": container,
            "follow": "true" if follow else "",
            "tailLines": "" if tail is None else str(tail),
            "previous": "true" if previous else "",
            "sinceTime": since,
            "timestamps": "true",
        }
        path = _path("Pod", namespace, pod) + "/log"
        times = (_TIMES_S[0], None) if follow else _TIMES_S  # it may be quiet for as long as it likes
        with self._answer("GET", path, query=query, times=times) as answer, _renamed(self.address):
            yield from answer.stream()

    def _asked(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        kind: str = "application/json",
    ) -> Object:
        with self._answer(method, path, query=query or {}, body=body, kind=kind) as answer, _renamed(self.address):
            return json.loads(answer.data or b"{}")

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: Object | None = None,
        kind: str = "application/json",
        times: tuple[float, float | None] = _TIMES_S,
    ) -> Generator[Any]:
        headers = {"Accept": "application/json", **({"Content-Type": kind} if body is not None else {})}
        asked = [(name, value) for name, value in query.items() if value]
        with _renamed(self.address):
            request = self._api.param_serialize(
                method, path, query_params=asked, header_params=headers, body=body, auth_settings=["BearerToken"]
            )
            answer = self._api.call_api(*request, _request_timeout=times).response
            if answer.status >= 300:
                raise _refusal(path, answer.status, answer.data)
        try:
            yield answer
        finally:
            answer.close()


def _path(kind: str, namespace: str, name: str = "") -> str:
    api_version, plural = KINDS[kind]
    prefix = "/apis" if "/" in api_version else "/api"
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}/{api_version}{within}/{plural}{f'/{name}' if name else ''}"


def _selector(labels: Mapping[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in labels.items())


@contextmanager
def _renamed(address: str) -> Generator[None]:
    """The client's errors as refusals."""
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (HTTPError, ApiException, OSError) as error:
        said = getattr(error, "reason", None) or error
        raise Unavailable(
            f"the cluster at {address} does not answer: {said}", fix="kubectl cluster-info; --context for another one"
        ) from error


def _refusal(path: str, status: int, content: bytes) -> Refusal:
    said, details = _status(path, status, content)
    match status:
        case 401:
            return Unauthorized(f"the cluster does not know who asks: {said}", fix="kubectl auth whoami")
        case 403:
            return Forbidden(
                said, fix="ask who owns the cluster for the right, or use another --namespace or --context"
            )
        case 404:
            return NotFound(said)
        case 409:
            fields = [
                cause["field"] for cause in entries(details, "causes") if cause.get("reason") == "FieldManagerConflict"
            ]
            return FieldConflict(said, fields) if fields else Conflict(said)
        case 400 | 422:
            return Invalid(f"the cluster does not take it: {said}")
        case _:
            return Unavailable(f"the cluster answers {status}: {said}")


def _status(path: str, status: int, content: bytes) -> tuple[str, Mapping[str, Any]]:
    """The message and the details of a Status, which is what the API answers instead of what was asked for."""
    try:
        found = json.loads(content)
        return str(found["message"]), part(found, "details")
    except (ValueError, KeyError, TypeError):
        return f"{path}: {content.decode(errors='replace')[:200] or status}", {}
