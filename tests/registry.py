"""A real registry of the tests' own, on loopback, for images that are pulled: Debian's docker-registry."""

import json
import shutil
import socket
import socketserver
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .e2e.machine import until

_OWN = Path(__file__).parents[1] / ".tools" / "bin" / "docker-registry"


def program() -> str | None:
    """Where it is; None when it is not here."""
    return str(_OWN) if _OWN.exists() else shutil.which("docker-registry")


@contextmanager
def running(directory: Path, *, rate: int) -> Iterator[str]:
    """Its host and port, for as long as the context lasts; what is pushed is kept in `directory`.

    It hands out `rate` bytes a second: on loopback a pull is over before anybody is told how far it is.
    """
    with _registry(directory) as address, _Slow(address, rate) as slow:
        threading.Thread(target=slow.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{slow.server_address[1]}"
        slow.shutdown()


@contextmanager
def _registry(directory: Path) -> Iterator[str]:
    found = program()
    assert found is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "images")}},
        "http": {"addr": address},
    }
    file = directory / "registry.yml"
    file.write_text(json.dumps(config))  # JSON is YAML
    with (directory / "registry.log").open("wb") as log:
        server = subprocess.Popen([found, "serve", str(file)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until(lambda: _answers(address, server), "the registry answers")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _answers(address: str, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None
    with suppress(OSError), urllib.request.urlopen(f"http://{address}/v2/", timeout=5) as answer:
        return answer.status == 200
    return False


class _Slow(socketserver.ThreadingTCPServer):
    """Passes on what it is sent, and slowly what comes back."""

    daemon_threads = True

    def __init__(self, towards: str, rate: int) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.towards = towards
        self.rate = rate


class _Relay(socketserver.BaseRequestHandler):
    server: _Slow

    def handle(self) -> None:
        host, _, port = self.server.towards.partition(":")
        with socket.create_connection((host, int(port))) as registry, suppress(OSError):
            threading.Thread(target=_pump, args=(self.request, registry, 0), daemon=True).start()
            _pump(registry, self.request, self.server.rate)


def _pump(source: socket.socket, target: socket.socket, rate: int) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
            if rate:
                time.sleep(len(piece) / rate)
        target.shutdown(socket.SHUT_WR)
