"""A small control plane on loopback: answers from a table, keeps what it was asked."""

import json
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "kbw_test"


@dataclass
class Asked:
    method: str
    path: str
    body: Any
    headers: Mapping[str, str]


@dataclass
class FakeApi:
    """`answers` maps "GET /api/v1/agents" to (status, body); a string is sent as an event stream."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def reply(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        self.asked.append(Asked(method, path, json.loads(body) if body else None, headers))
        if headers.get("Authorization") != f"Bearer {KEY}":
            return 401, {"detail": "this key is unknown", "fix": "make one", "code": "unauthorized"}
        return self.answers.get(f"{method} {path}", (404, {"detail": f"no {path}", "code": "not_found"}))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: FakeApi


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        status, content = self.server.api.reply(self.command, path, dict(self.headers), body)
        streamed = isinstance(content, str)
        data = content.encode() if streamed else json.dumps(content).encode()
        if status == 204:
            data = b""
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream" if streamed else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Tests look at `asked`."""


@contextmanager
def serving() -> Generator[FakeApi, None, None]:
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.api = FakeApi(url=f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server.api
        finally:
            server.shutdown()
            thread.join()
