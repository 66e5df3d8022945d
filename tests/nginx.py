"""A reverse proxy with TLS, as people put one in front of a control plane: Debian's nginx, in the foreground."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# As docs/hosts.md says it.
_CONFIGURATION = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxied;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  upstream planes {{ {servers} }}
  server {{
    listen {listen} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
{location}
  }}
}}
"""


@contextmanager
def in_front(directory: Path, listen: str, upstreams: Sequence[str], certificate: tuple[Path, Path]) -> Iterator[None]:
    """nginx on `listen` (host:port), in front of `upstreams` (host:port)."""
    own = ROOT / ".tools" / "bin" / "nginx"
    program = str(own) if own.exists() else shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not here: scripts/setup fetches it where Debian's packages can be reached")
    directory.mkdir()
    configuration = directory / "nginx.conf"
    values = {
        "directory": directory,
        "listen": listen,
        "certificate": certificate[0],
        "key": certificate[1],
        "servers": " ".join(f"server {upstream};" for upstream in upstreams),
        "location": documented().replace("127.0.0.1:7466", "planes"),
    }
    configuration.write_text(_CONFIGURATION.format(**values))
    process = subprocess.Popen([program, "-p", directory, "-c", configuration, "-e", directory / "nginx.log"])
    try:
        _wait_until_it_listens(listen, process, directory / "nginx.log")
        yield
        assert process.poll() is None, (directory / "nginx.log").read_text()
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_it_listens(listen: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = listen.partition(":")
    deadline = time.monotonic() + 20
    while True:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        assert time.monotonic() < deadline, "nginx does not listen"
        time.sleep(0.02)


def documented() -> str:
    """The part of nginx's configuration that docs/hosts.md gives."""
    page = (ROOT / "docs" / "hosts.md").read_text()
    return page.partition("```nginx\n")[2].partition("```")[0]
