"""A real PostgreSQL of our own: Debian's server on a socket in a temporary directory."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

READY_WITHIN_S = 20.0
_DEBIAN = "/usr/lib/postgresql"


def programs() -> Path | None:
    """Where `initdb` and `postgres` are, newest version first; None when there is no PostgreSQL."""
    installed = [path.parent for path in Path(_DEBIAN).glob("*/bin/initdb")]
    if installed:
        return max(installed, key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    return Path(found).parent if found else None


@contextmanager
def running(bin_directory: Path) -> Iterator[str]:
    """A server for as long as the context lasts; the address of its socket's directory."""
    # A socket's path has room for about 100 characters: pytest's own directories are too deep.
    directory = Path(tempfile.mkdtemp(prefix="kpg-", dir="/tmp"))
    try:
        _own(directory)
        _initialise(bin_directory, directory)
        with _served(bin_directory, directory):
            yield str(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _initialise(bin_directory: Path, directory: Path) -> None:
    command = [bin_directory / "initdb", "--no-sync", "-A", "trust", "-U", "kubiya", "-E", "UTF8", "--locale=C"]
    subprocess.run([*command, "-D", directory / "data"], check=True, capture_output=True, **_as_user())


@contextmanager
def _served(bin_directory: Path, directory: Path) -> Iterator[None]:
    options = {"listen_addresses": "", "unix_socket_directories": str(directory), "fsync": "off", "max_connections": 60}
    command = [bin_directory / "postgres", "-D", directory / "data"]
    command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory, **_as_user())
    try:
        _wait_until_ready(bin_directory, directory, server)
        yield
    finally:
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_ready(bin_directory: Path, directory: Path, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while subprocess.run([bin_directory / "pg_isready", "-q", "-h", directory], check=False).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((directory / "log").read_text())
        time.sleep(0.02)


def _own(directory: Path) -> None:
    user = _as_user()
    if user:
        os.chown(directory, user["user"], user["group"])


def _as_user() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: then it runs as its own user, or as nobody."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
