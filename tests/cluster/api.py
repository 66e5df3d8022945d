"""An API server of our own, in the test's process: it speaks what kubectl and the client speak.

Discovery, server-side apply with managed fields and conflicts, merge patches and the scale subresource, label and
field selectors, watches, pod logs, and Status objects for what is refused: unknown paths, objects that the published
schemas do not take, missing namespaces and rights. What a controller manager and a kubelet do is in `nodes`.
"""

import copy
import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate
import yaml

from .fields import Clash, Object, applied, updated

VERSION = "1.37"
RESOURCES: dict[str, dict[str, str]] = {
    "v1": {
        "namespaces": "Namespace",
        "secrets": "Secret",
        "configmaps": "ConfigMap",
        "services": "Service",
        "pods": "Pod",
        "events": "Event",
    },
    "apps/v1": {"deployments": "Deployment", "replicasets": "ReplicaSet"},
    "batch/v1": {"jobs": "Job"},
    "autoscaling/v2": {"horizontalpodautoscalers": "HorizontalPodAutoscaler"},
    "policy/v1": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
}
PROMETHEUS = {"monitoring.coreos.com/v1": {"servicemonitors": "ServiceMonitor"}}
KEDA = {"keda.sh/v1alpha1": {"scaledobjects": "ScaledObject"}}
_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]

Key = tuple[str, str, str]
"""Plural, namespace, name."""


class Refused(Exception):
    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status = {
            "apiVersion": "v1",
            "kind": "Status",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "details": details,
            "code": code,
        }


@dataclass
class Api:
    """The store, and what is asked of it. `forbidden` are (verb, plural); `token` is asked for where it is set."""

    extensions: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    forbidden: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    token: str = ""
    objects: dict[Key, Object] = field(default_factory=dict[Key, Object])
    logs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """What a pod has said, by its name; `NAME/previous` for the container before."""
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Method and path of every request."""
    history: list[tuple[str, str, Object]] = field(default_factory=list[tuple[str, str, Object]])
    """Type, plural and object of every change."""
    changed: threading.Condition = field(default_factory=threading.Condition)
    version: int = 1000

    @property
    def resources(self) -> dict[str, dict[str, str]]:
        return {**RESOURCES, **self.extensions}

    # --- what happens to an object

    def get(self, plural: str, namespace: str, name: str) -> Object:
        try:
            return self.objects[(plural, namespace, name)]
        except KeyError:
            raise Refused(404, "NotFound", f'{plural} "{name}" not found', name=name, kind=plural) from None

    def apply(self, key: Key, config: Object, manager: str, *, force: bool = False, dry_run: bool = False) -> Object:
        _, namespace, name = key
        self._check_namespace(namespace)
        before = self.objects.get(key)
        try:
            after = applied(before, config, manager, force=force)
        except Clash as clash:
            causes = [
                {"reason": "FieldManagerConflict", "message": f'conflict with "{who}"', "field": path}
                for path, who in clash.found
            ]
            message = f"Apply failed with {len(causes)} conflicts: " + ", ".join(f"{p} ({w})" for p, w in clash.found)
            raise Refused(409, "Conflict", message, causes=causes, name=name) from None
        return self._stored(key, before, after, dry_run=dry_run)

    def create(self, plural: str, namespace: str, config: Object, manager: str) -> Object:
        self._check_namespace(namespace)
        key = (plural, namespace, config["metadata"]["name"])
        if key in self.objects:
            raise Refused(409, "AlreadyExists", f'{plural} "{key[2]}" already exists', name=key[2])
        before = {"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": {}}
        return self._stored(key, None, updated(before, copy.deepcopy(config), manager))

    def change(self, key: Key, manager: str, edit: Callable[[Object], None]) -> Object:
        """Change an object as a controller, or `kubectl edit`, does."""
        with self.changed:
            before = self.get(*key)
            after = copy.deepcopy(before)
            edit(after)
            return self._stored(key, before, updated(before, after, manager))

    def _stored(self, key: Key, before: Object | None, after: Object, *, dry_run: bool = False) -> Object:
        _default(after)
        self._check(after)
        metadata = after["metadata"]
        metadata |= {"name": key[2], **({"namespace": key[1]} if key[1] else {})}
        if before is None:
            metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "generation": 1}
        elif before.get("spec") != after.get("spec"):
            metadata["generation"] = before["metadata"]["generation"] + 1
        if before is not None and _plain(before) == _plain(after):
            return before
        if dry_run:
            return after
        with self.changed:
            self.version += 1
            metadata["resourceVersion"] = str(self.version)
            self.objects[key] = after
            self.tell("ADDED" if before is None else "MODIFIED", key[0], after)
        return after

    def _check(self, thing: Object) -> None:
        bare = {name: part for name, part in thing.items() if name != "status"}
        try:
            kubernetes_validate.validate(bare, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            path = ".".join(map(str, error.path))
            message = f'{thing["kind"]} "{thing["metadata"].get("name")}" is invalid: {path}: {error.message}'
            raise Refused(422, "Invalid", message) from None
        except kubernetes_validate.SchemaNotFoundError:
            pass  # an extension's

    def _check_namespace(self, namespace: str) -> None:
        if namespace and ("namespaces", "", namespace) not in self.objects:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found', name=namespace, kind="namespaces")

    def delete(self, key: Key) -> Object:
        with self.changed:
            gone = self.get(*key)
            if key[0] == "pods" and "deletionTimestamp" not in gone["metadata"]:
                gone["metadata"]["deletionTimestamp"] = now()  # the kubelet takes it away
                self.tell("MODIFIED", "pods", gone)
                return gone
            del self.objects[key]
            self.tell("DELETED", key[0], gone)
        for owned in [one for one, thing in list(self.objects.items()) if _owned(thing, gone)]:
            self.delete(owned)
        return gone

    def tell(self, type_: str, plural: str, thing: Object) -> None:
        with self.changed:
            self.history.append((type_, plural, copy.deepcopy(thing)))
            self.changed.notify_all()

    def list(self, plural: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        return [
            thing
            for (kind, where, _), thing in sorted(self.objects.items())
            if kind == plural and namespace in ("", where) and matches(thing, labels, fields)
        ]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def matches(thing: Object, labels: str, fields: str) -> bool:
    own = thing["metadata"].get("labels") or {}
    for word in filter(None, labels.split(",")):
        name, _, value = word.replace("==", "=").partition("=")
        if own.get(name) != value:
            return False
    for word in filter(None, fields.split(",")):
        path, _, value = word.replace("==", "=").partition("=")
        found: Any = thing
        for step in path.split("."):
            found = (found or {}).get(step)
        if found != value:
            return False
    return True


def _plain(thing: Object) -> Object:
    """Without its version: who has said what of it is a part of an object, too."""
    return {**thing, "metadata": {name: part for name, part in thing["metadata"].items() if name != "resourceVersion"}}


def _owned(thing: Object, owner: Object) -> bool:
    return any(ref["uid"] == owner["metadata"]["uid"] for ref in thing["metadata"].get("ownerReferences", ()))


def _default(thing: Object) -> None:
    """A few of the defaults that the API fills in."""
    if thing["kind"] == "Deployment":
        thing["spec"].setdefault("replicas", 1)
    if thing["kind"] == "Secret" and (texts := thing.pop("stringData", None)):
        import base64

        data = thing.setdefault("data", {})
        data |= {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written apart
    api: Api

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.api.asked.append((self.command, self.path))
        try:
            if self.api.token and self.headers.get("Authorization") != f"Bearer {self.api.token}":
                raise Refused(401, "Unauthorized", "Unauthorized")
            answer = self._answer(parts.path.strip("/").split("/"), query, body)
            if answer is not None:
                self._send(200, answer)
        except Refused as refused:
            self._send(refused.code, refused.status)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

    def _send(self, code: int, content: Object) -> None:
        text = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _answer(self, path: list[str], query: dict[str, str], body: bytes) -> Object | None:
        match path:
            case ["version"]:
                major, minor = VERSION.split(".")
                return {"major": major, "minor": minor, "gitVersion": f"v{VERSION}.0", "platform": "linux/amd64"}
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["apis"]:
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": self._groups()}
            case ["api", "v1"]:
                return self._resources("v1")
            case ["apis", group, version] if f"{group}/{version}" in self.api.resources:
                return self._resources(f"{group}/{version}")
            case ["api", "v1", *rest]:
                return self._resource("v1", rest, query, body)
            case ["apis", group, version, *rest] if f"{group}/{version}" in self.api.resources:
                return self._resource(f"{group}/{version}", rest, query, body)
            case _:
                raise Refused(404, "NotFound", "the server could not find the requested resource")

    def _groups(self) -> list[Object]:
        found: dict[str, Object] = {}
        for api_version in self.api.resources:
            group, slash, version = api_version.partition("/")
            if slash:
                entry = {"groupVersion": api_version, "version": version}
                found[group] = {"name": group, "versions": [entry], "preferredVersion": entry}
        return list(found.values())

    def _resources(self, api_version: str) -> Object:
        listed: list[Object] = []
        for plural, kind in self.api.resources[api_version].items():
            entry = {"kind": kind, "singularName": kind.lower(), "namespaced": plural != "namespaces", "verbs": _VERBS}
            listed.append({"name": plural, **entry})
            if plural == "deployments":
                scale = {
                    "group": "autoscaling",
                    "version": "v1",
                    "kind": "Scale",
                    "singularName": "",
                    "namespaced": True,
                }
                listed.append({"name": "deployments/scale", **scale, "verbs": ["get", "patch", "update"]})
            if plural == "pods":
                listed.append({"name": "pods/log", **entry, "verbs": ["get"]})
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": listed}

    def _resource(self, api_version: str, path: list[str], query: dict[str, str], body: bytes) -> Object | None:
        namespace = ""
        if path[0] == "namespaces" and len(path) > 2:
            namespace, path = path[1], path[2:]
        plural, *rest = path
        if plural not in self.api.resources[api_version]:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        name, sub = [*rest, "", ""][:2]
        self._allowed(plural, namespace, name, sub, query)
        key = (plural, namespace, name)
        if self.command == "GET":
            return self._read(api_version, key, sub, query)
        match self.command, name, sub:
            case "POST", "", _:
                return self.api.create(plural, namespace, self._parsed(body), query.get("fieldManager", "unknown"))
            case "PATCH", _, "scale":
                replicas = self._parsed(body)["spec"]["replicas"]
                self.api.change(key, "kubectl", lambda thing: thing["spec"].update(replicas=replicas))
                return self._scale(key)
            case "PATCH", _, _:
                return self._patched(key, query, body)
            case "DELETE", _, _:
                return self.api.delete(key)
            case _:
                raise Refused(405, "MethodNotAllowed", "the server does not allow this method")

    def _read(self, api_version: str, key: Key, sub: str, query: dict[str, str]) -> Object | None:
        plural, namespace, name = key
        if not name and query.get("watch") in ("true", "1"):
            return self._watch(plural, namespace, query)
        if not name:
            return self._list(api_version, plural, namespace, query)
        match sub:
            case "log":
                return self._log(key, query)
            case "scale":
                return self._scale(key)
            case _:
                return self.api.get(*key)

    def _allowed(self, plural: str, namespace: str, name: str, sub: str, query: dict[str, str]) -> None:
        verbs = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}
        verb = verbs.get(self.command, "get" if name else "list")
        what = f"{plural}/{sub}" if sub else plural
        if (verb, what) in self.api.forbidden:
            place = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
            message = f'{what} is forbidden: User "dev" cannot {verb} resource "{what}" in API group ""{place}'
            raise Refused(403, "Forbidden", message, kind=plural)

    @staticmethod
    def _parsed(body: bytes) -> Object:
        return yaml.safe_load(body)

    def _patched(self, key: Key, query: dict[str, str], body: bytes) -> Object:
        config, kind = self._parsed(body), self.headers.get("Content-Type")
        manager = query.get("fieldManager", "unknown")
        if kind == "application/apply-patch+yaml":
            if config["metadata"]["name"] != key[2]:
                raise Refused(400, "BadRequest", "the name of the object does not match the name on the URL")
            forced, trial = query.get("force") == "true", query.get("dryRun") == "All"
            with self.api.changed:
                return self.api.apply(key, config, manager, force=forced, dry_run=trial)

        def merge(thing: Object) -> None:
            _merged(thing, config)

        return self.api.change(key, manager, merge)

    def _scale(self, key: Key) -> Object:
        thing = self.api.get(*key)
        metadata = {"name": key[2], "namespace": key[1], "resourceVersion": thing["metadata"]["resourceVersion"]}
        spec = {"replicas": thing["spec"]["replicas"]}
        return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": spec}

    def _list(self, api_version: str, plural: str, namespace: str, query: dict[str, str]) -> Object:
        items = self.api.list(plural, namespace, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        return {
            "apiVersion": api_version,
            "kind": f"{self.api.resources[api_version][plural]}List",
            "metadata": {"resourceVersion": str(self.api.version)},
            "items": items,
        }

    # --- streams

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def _watch(self, plural: str, namespace: str, query: dict[str, str]) -> None:
        """What has changed since a version, and what changes from here on, for as long as it is asked for."""
        labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
        since = int(query.get("resourceVersion") or 0)
        deadline = time.monotonic() + float(query.get("timeoutSeconds", 30))
        self._begin("application/json")
        seen = 0
        while time.monotonic() < deadline:
            with self.api.changed:
                if seen == len(self.api.history):
                    self.api.changed.wait(0.2)
                fresh, seen = self.api.history[seen:], len(self.api.history)
            for type_, kind, thing in fresh:
                newer = int(thing["metadata"].get("resourceVersion", 0)) > since or type_ == "DELETED"
                within = namespace in ("", thing["metadata"].get("namespace", ""))
                if kind == plural and newer and within and matches(thing, labels, fields):
                    self._chunk(json.dumps({"type": type_, "object": thing}).encode() + b"\n")
        self._chunk(b"")

    def _log(self, key: Key, query: dict[str, str]) -> None:
        pod = self.api.get(*key)
        if pod["status"]["phase"] == "Pending":
            message = f'container "worker" in pod "{key[2]}" is waiting to start: ContainerCreating'
            raise Refused(400, "BadRequest", message)
        previous = query.get("previous") == "true"
        lines = self.api.logs.setdefault(f"{key[2]}/previous" if previous else key[2], [])
        written = list(lines)
        if "sinceTime" in query:
            # By the whole second, as the real one: what it names may come once more.
            written = [line for line in written if line[:19] >= query["sinceTime"][:19]]
        if "tailLines" in query:
            written = written[max(0, len(written) - int(query["tailLines"])) :]
        self._begin("text/plain")
        for line in written:
            self._chunk(self._shown(line, query))
        sent = len(lines)
        while query.get("follow") == "true" and key in self.api.objects:
            with self.api.changed:
                if sent == len(lines):
                    self.api.changed.wait(0.1)
            for line in lines[sent:]:
                self._chunk(self._shown(line, query))
                sent += 1
        self._chunk(b"")

    @staticmethod
    def _shown(line: str, query: dict[str, str]) -> bytes:
        return (line if query.get("timestamps") == "true" else line.partition(" ")[2]).encode() + b"\n"


def _merged(thing: Object, patch: Object) -> None:
    for name, value in patch.items():
        if value is None:
            thing.pop(name, None)
        elif isinstance(value, dict) and isinstance(thing.get(name), dict):
            _merged(thing[name], value)
        else:
            thing[name] = value


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that does not like our certificate is no error of ours."""


def serve(api: Api, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve it on loopback: yields the address, once."""
    handler = type("Handler", (_Handler,), {"api": api})
    server = _Server(("127.0.0.1", 0), handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def kubeconfig(address: str, token: str = "", user: Object | None = None) -> str:
    """A file of one context for an address."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": address}}],
            "users": [{"name": "dev", "user": user if user is not None else ({"token": token} if token else {})}],
            "contexts": [{"name": "here", "context": {"cluster": "test", "user": "dev"}}],
            "current-context": "here",
        }
    )
