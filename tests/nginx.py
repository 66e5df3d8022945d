"""A reverse proxy with TLS, as people put one in front of a control plane: Debian's nginx, in the foreground."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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
  server {{
    listen {listen} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
{location}
  }}
}}
"""


@contextmanager
def in_front(directory: Path, listen: str, upstream: str, certificate: tuple[Path, Path]) -> Iterator[None]:
    """nginx on `listen` (host:port), in front of `upstream` (host:port)."""
    own = ROOT / ".tools" / "bin" / "nginx"
    program = str(own) if own.exists() else shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not here: scripts/setup fetches it where Debian's packages can be reached")
    directory.mkdir()
    configuration = directory / "nginx.conf"
    location = documented().replace("127.0.0.1:7466", upstream)
    configuration.write_text(
        _CONFIGURATION.format(
            directory=directory, listen=listen, certificate=certificate[0], key=certificate[1], location=location
        )
    )
    process = subprocess.Popen([program, "-p", directory, "-c", configuration, "-e", directory / "nginx.log"])
    try:
        yield
        assert process.poll() is None, (directory / "nginx.log").read_text()
    finally:
        process.terminate()
        process.wait(10)


def documented() -> str:
    """The part of nginx's configuration that docs/hosts.md gives."""
    page = (ROOT / "docs" / "hosts.md").read_text()
    return page.partition("```nginx\n")[2].partition("```")[0]
