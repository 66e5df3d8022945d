"""A real Docker of the tests' own, with our images in it: `dockerd` on a socket in a temporary directory.

No registry is asked: the base image is made from Debian's packages and stands under the name that the Dockerfile asks
for. It and the images made from the present source are kept in a cache, so that they are made once.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubiya_workers.launchers.docker.spec import IMAGE
from kubiya_workers.launchers.locks import FileLock

from .e2e.machine import until

ROOT = Path(__file__).parents[1]
CACHE = Path.home() / ".cache" / "kubiya-tests"
CONTROL_PLANE = IMAGE.replace("kubiya-workers", "kubiya-control-plane")
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_UP_WITHIN_S, _BUILT_WITHIN_S = 60, 600


def why_not() -> str | None:
    """Why there can be no Docker of our own here; None when there can."""
    if os.geteuid() != 0:
        return "dockerd runs as root only"
    missing = [name for name in ("dockerd", "docker", "mmdebstrap") if shutil.which(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


@dataclass(frozen=True)
class Docker:
    """A running daemon. `address` is what DOCKER_HOST is set to."""

    address: str

    def run(self, *words: str, timeout: float = 120, check: bool = True) -> str:
        """A `docker` command; what it says on both streams."""
        done = subprocess.run(
            ["docker", *words],
            env={**os.environ, "DOCKER_HOST": self.address},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0 or not check, f"docker {' '.join(words)}: {done.stdout}"
        return done.stdout.strip()

    def clear(self) -> None:
        """Remove every container."""
        if left := self.run("ps", "--all", "--quiet").split():
            self.run("rm", "--force", "--volumes", *left)


@contextmanager
def running() -> Iterator[Docker]:
    """A daemon with our images, for as long as the context lasts."""
    # A socket's path has room for about 100 characters: pytest's own directories are too deep.
    directory = Path(tempfile.mkdtemp(prefix="kdo-", dir="/tmp"))
    try:
        with _served(directory) as docker:
            _load(docker)
            yield docker
            docker.clear()
    finally:
        _unmount(directory)
        shutil.rmtree(directory)


def _unmount(directory: Path) -> None:
    """dockerd leaves the mount of its network namespace behind."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((place for place in mounted if place.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "--lazy", place], check=True, capture_output=True)


@contextmanager
def _served(directory: Path) -> Iterator[Docker]:
    docker = Docker(f"unix://{directory}/docker.sock")
    words = {
        "--data-root": directory / "data",
        "--exec-root": directory / "exec",
        "--pidfile": directory / "pid",
        "--host": docker.address,
        "--bridge": "none",  # nothing of the machine's network is changed
        "--iptables": "false",
    }
    with (directory / "log").open("wb") as log:
        command = ["dockerd", *(f"{name}={value}" for name, value in words.items())]
        daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until(lambda: _answers(docker, daemon, directory / "log"), "dockerd answers", _UP_WITHIN_S)
        yield docker
    finally:
        daemon.terminate()
        try:
            daemon.wait(60)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _answers(docker: Docker, daemon: subprocess.Popen[bytes], log: Path) -> bool:
    assert daemon.poll() is None, log.read_text(errors="replace")[-3000:]
    return not docker.run("version", "--format", "{{.Server.Version}}", check=False).startswith(("Cannot", "error"))


def _load(docker: Docker) -> None:
    """Our images, from the cache or made; several test processes at once make them once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    lock = FileLock.at(CACHE / "lock")
    until(lock.exclusively, "another test process makes the images", 2 * _BUILT_WITHIN_S)
    try:
        images = CACHE / f"images-{_fingerprint()}.tar"
        if images.exists():
            docker.run("load", "--input", str(images))
            return
        _build(docker)
        for old in CACHE.glob("images-*"):
            old.unlink()
        fresh = images.with_suffix(".new")
        docker.run("save", "--output", str(fresh), base(), IMAGE, CONTROL_PLANE)
        fresh.rename(images)
    finally:
        lock.close()


def base() -> str:
    """The image that ours are made from."""
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def _build(docker: Docker) -> None:
    docker.run("import", str(_base_archive()), base())
    flags = f"--network=host --build-arg PIP_CERT={_BUNDLE}"
    done = subprocess.run(
        ["make", "image", f"DOCKER_BUILD_FLAGS={flags}"],
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": docker.address},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILT_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]


def _base_archive() -> Path:
    archive = CACHE / "base-bookworm.tar"
    if not archive.exists():
        fresh = archive.with_suffix(".new.tar")
        bundle = [f"--customize-hook=copy-in {_BUNDLE} /etc/ssl/certs"] if Path(_BUNDLE).exists() else []
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", *bundle, "bookworm", fresh]
        subprocess.run(command, check=True, capture_output=True, timeout=_BUILT_WITHIN_S)
        fresh.rename(archive)
    return archive


def _fingerprint() -> str:
    """Of all that the images are made from."""
    sum_ = hashlib.sha256()
    named = ("deploy/Dockerfile", ".dockerignore", "pyproject.toml", "requirements.lock", "README.md", "LICENSE")
    source = sorted(path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    for path in (*(ROOT / name for name in named), *source):
        sum_.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return sum_.hexdigest()[:24]
