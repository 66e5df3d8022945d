"""The HTTP server of a worker's health, on the standard library: it must cost a start nothing."""

import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from kubiya_workers.contracts.pool import Check
from kubiya_workers.launchers import ports
from kubiya_workers.observability.exposition import CONTENT_TYPE
from kubiya_workers.settings.proxies import is_loopback

from ..metrics import Metrics
from ..standing import Standing
from .checks import Readiness, Vitals, alive, ready

_SLOW_CLIENT_S = 5.0
_GATEWAY_WITHIN_S = 2.0
_JSON = "application/json"

Answer = tuple[int, str, bytes]


class HealthServer:
    """Serves until `close`; `url` is where."""

    def __init__(self, host: str, listening: socket.socket, routes: Mapping[str, Callable[[], Answer]]) -> None:
        self._server = _Server(listening, routes, local_only=is_loopback(host))
        port = listening.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_SLOW_CLIENT_S)


def serve_health(standing: Standing, metrics: Metrics) -> list[HealthServer]:
    """The health server and, where metrics were asked for, another one on their port.

    Raises:
        BadSetting: the address is not one of this machine's.
    """
    settings = standing.settings
    host, _, port = settings.health_addr.rpartition(":")
    host = host.strip("[]")
    page: Callable[[], Answer] = lambda: (200, CONTENT_TYPE, metrics.page())  # noqa: E731
    routes = {
        "/livez": lambda: _checked(alive(_vitals(standing))),
        "/readyz": lambda: _checked(ready(_readiness(standing))),
        "/status": lambda: (200, _JSON, standing.report().model_dump_json().encode()),
        "/calls": lambda: (200, _JSON, metrics.calls().model_dump_json().encode()),
        "/metrics": page,
    }
    servers = [HealthServer(host, ports.listen(host, int(port), exactly=False), routes)]
    if settings.metrics_port is not None:
        listening = ports.listen(host, settings.metrics_port, exactly=False)
        servers.append(HealthServer(host, listening, {"/metrics": page}))
        standing.metrics_url = f"{servers[-1].url}/metrics"
    return servers


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, listening: socket.socket, routes: Mapping[str, Callable[[], Answer]], *, local_only: bool
    ) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        listening.setblocking(True)
        self.socket = listening
        self.routes = routes
        self.local_only = local_only

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nobody's problem."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _SLOW_CLIENT_S
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride] - the only server that it is used with

    def do_GET(self) -> None:
        status, kind, body = self._answer()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def _answer(self) -> Answer:
        # A page elsewhere can point a name of its own at this machine; it cannot choose the Host that is sent.
        if self.server.local_only and not _is_local_name(self.headers.get("Host", "")):
            return 403, _JSON, b'{"detail": "this address is for programs of this machine"}'
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            return 404, _JSON, json.dumps({"detail": f"there are {', '.join(self.server.routes)}"}).encode()
        return route()

    def version_string(self) -> str:
        return "kubiya-worker"

    def log_message(self, format: str, *args: object) -> None:
        """A question each few seconds is no news."""


def _checked(checks: Sequence[Check]) -> Answer:
    fine = all(check.state == "ok" for check in checks)
    body = json.dumps({"ok": fine, "checks": [check.model_dump() for check in checks]}).encode()
    return (200 if fine else 503), _JSON, body


def _vitals(standing: Standing) -> Vitals:
    now, contact = time.monotonic(), standing.contact
    return Vitals(
        loop_age=contact.loop_lag(now) if contact else 0.0,
        poll_age=contact.poll_age(now) if contact else None,
        unseen=bool(contact and not standing.draining and contact.is_unseen(now)),
        memory=standing.own_memory(),
        memory_limit=standing.settings.memory_limit,
    )


def _readiness(standing: Standing) -> Readiness:
    try:
        disk = shutil.disk_usage(standing.settings.paths.home).free
    except OSError:
        disk = None
    return Readiness(standing.why_not_ready(time.monotonic()), _gateway_problem(standing), disk)


def _gateway_problem(standing: Standing) -> str | None:
    """Why the gateway cannot be reached; None when it can, or when a proxy is between us and it."""
    if standing.registered is None:
        return None
    parts = urlsplit(standing.registered.litellm_api_url)
    host = parts.hostname or ""
    if standing.settings.temporal.proxies.towards(host, secure=parts.scheme == "https"):
        return None
    address = (host, parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(address, timeout=_GATEWAY_WITHIN_S).close()
    except OSError as error:
        return f"{host}:{address[1]} cannot be reached: {error.strerror or error}"
    return None


def _is_local_name(header: str) -> bool:
    return is_loopback(urlsplit(f"//{header}").hostname or "")
