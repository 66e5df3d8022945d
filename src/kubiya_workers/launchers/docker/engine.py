"""The Docker daemon: a few of its calls, with refusals of ours for its errors. The one place that imports the SDK.

Nothing here is asynchronous; callers with an event loop use a thread.
"""

import io
import tarfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound, Refusal, Unavailable
from kubiya_workers.contracts.pool import ContainerState
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.source import Source

_ANSWERS_WITHIN_S = 60
_GONE_S = 0.05


@dataclass(frozen=True)
class Inspected:
    """A container, as far as it concerns us; times as Docker writes them."""

    id: str
    state: ContainerState
    exit_code: int | None
    out_of_memory: bool
    restarts: int
    started_at: str
    labels: Mapping[str, str]


@contextmanager
def connected(address: str = "") -> Generator["Docker"]:
    """The daemon at `address`; without one the user's own: DOCKER_HOST, the context of the `docker` command, or the
    local socket.

    Raises:
        Unavailable: there is no SDK, or no daemon that answers.
    """
    try:
        import docker
    except ImportError:
        raise Unavailable(
            "workers in containers need Docker's SDK, which is not installed",
            fix="pip install 'kubiya-workers[docker]'",
        ) from None
    environ = Source.of_process().everything
    if address:
        environ[v.DOCKER_HOST.name] = address
    with _renamed("Docker"):
        client: Any = docker.DockerClient.from_env(version="auto", timeout=_ANSWERS_WITHIN_S, environment=environ)
    try:
        yield Docker(client.api, address or environ.get(v.DOCKER_HOST.name, ""))
    finally:
        client.close()


class Docker:
    """A daemon that answers; `address` is empty for the usual one. Not for two threads at once, but for the lines of a
    log that is followed. Methods raise refusals: NotFound, Conflict,
    Invalid for what it does not take, Unavailable when it does not answer."""

    def __init__(self, api: Any, address: str) -> None:
        self._api = api  # its types are not complete enough to be checked
        self.address = address

    # --- images

    def user_of(self, image: str) -> str | None:
        """As whom an image's processes run; None when there is no such image here."""
        try:
            with _renamed(image):
                return str(self._api.inspect_image(image)["Config"].get("User") or "")
        except NotFound:
            return None

    def pulling(self, image: str) -> Iterator[Mapping[str, Any]]:
        """Fetch an image; what Docker says of its progress."""
        name, _, tag = image.rpartition(":") if ":" in image.rpartition("/")[2] else (image, "", "latest")
        with _renamed(image):
            for said in self._api.pull(name, tag=tag, stream=True, decode=True):
                if "error" in said:
                    raise Unavailable(f"the image {image} cannot be pulled: {said['error']}")
                yield said

    # --- containers

    def create(self, words: Mapping[str, Any], host: Mapping[str, Any]) -> str:
        """A container that does not run yet; its id."""
        with _renamed(words["name"]):
            made = self._api.create_container(**words, host_config=self._api.create_host_config(**host))
            return made["Id"]

    def put(self, container: str, files: Mapping[str, bytes], *, owner: int) -> None:
        """Files that only `owner` can read, by their paths in a container."""
        with _renamed(container):
            self._api.put_archive(container, "/", _archive(files, owner))

    def read(self, container: str, path: str) -> bytes | None:
        """A file of a container, whether that runs or not; None when there is none."""
        try:
            with _renamed(container):
                parts, _ = self._api.get_archive(container, path)
                with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as archive:
                    file = archive.extractfile(archive.getmembers()[0])
                    return file.read() if file else None
        except NotFound:
            return None

    def start(self, container: str) -> None:
        with _renamed(container):
            self._api.start(container)

    def restarting(self, container: str, policy: Mapping[str, Any]) -> None:
        """From now on it is started again as the policy says."""
        with _renamed(container):
            self._api.update_container(container, restart_policy=dict(policy))

    def restart(self, container: str, timeout: float) -> None:
        with _renamed(container):
            self._api.restart(container, timeout=round(timeout))

    def stop(self, container: str, timeout: float) -> None:
        """Ask it to end, and kill it after `timeout` seconds; it has ended when this returns."""
        with _renamed(container):
            self._api.stop(container, timeout=round(timeout))

    def wait(self, container: str) -> int:
        """Its exit status, once it has ended."""
        with _renamed(container):
            return self._api.wait(container)["StatusCode"]

    def remove(self, container: str) -> bool:
        """Remove it, running or not, with its own volumes; whether it was there."""
        try:
            with _renamed(container):
                self._api.remove_container(container, v=True, force=True)
        except NotFound:
            return False
        except Conflict:  # somebody else removes it at this moment
            while self.inspect(container) is not None:
                time.sleep(_GONE_S)
        return True

    def inspect(self, container: str) -> Inspected | None:
        """By id or name; None when there is none."""
        try:
            with _renamed(container):
                said: Any = self._api.inspect_container(container)
        except NotFound:
            return None
        state = said["State"]
        over = state["Status"] not in ("running", "paused", "restarting", "created")
        return Inspected(
            id=said["Id"],
            state=ContainerState(state["Status"]),
            exit_code=state["ExitCode"] if over else None,
            out_of_memory=state["OOMKilled"],
            restarts=said["RestartCount"],
            started_at=state["StartedAt"],
            labels=said["Config"]["Labels"] or {},
        )

    def labelled(self, label: str) -> list[str]:
        """The names of all containers with a label (`name` or `name=value`), running or not."""
        with _renamed(label):
            found = self._api.containers(all=True, filters={"label": label})
        return [str(one["Names"][0]).removeprefix("/") for one in found]

    def log(self, container: str, *, since: float | None = None, follow: bool = False) -> Iterator[bytes]:
        """What it wrote, each line after its time, in pieces that may end within a line."""
        with _renamed(container):
            if follow:
                self._api.timeout = None  # it may be quiet for as long as it likes
            yield from self._api.logs(container, stream=True, follow=follow, timestamps=True, since=since)

    def run_inside(self, container: str, words: list[str]) -> tuple[int, str, str]:
        """A command in a running container: exit status, stdout, stderr."""
        with _renamed(container):
            command = self._api.exec_create(container, words)["Id"]
            out, err = self._api.exec_start(command, demux=True)
            status = self._api.exec_inspect(command)["ExitCode"]
        return status, (out or b"").decode(errors="replace"), (err or b"").decode(errors="replace")


@contextmanager
def _renamed(what: str) -> Generator[None]:
    """Docker's errors as refusals."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        raise _refusal(what, error.status_code, str(error.explanation or error)) from error
    except (DockerException, RequestException, ConnectionError) as error:
        raise Unavailable(
            f"no Docker daemon answers: {error}", fix="start it, or set DOCKER_HOST to the one that is meant"
        ) from error


def _refusal(what: str, status: int | None, said: str) -> Refusal:
    match status:
        case 404:
            return NotFound(f"{what}: {said}")
        case 409:
            return Conflict(f"{what}: {said}")
        case 400:
            return Invalid(f"{what}: {said}")
        case _:
            return Unavailable(f"{what}: {said}")


def _archive(files: Mapping[str, bytes], owner: int) -> bytes:
    """A tar of private files and of the directories above them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in files.items():
            parts = path.strip("/").split("/")
            for depth in range(1, len(parts)):
                directory = tarfile.TarInfo("/".join(parts[:depth]))
                directory.type, directory.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(directory)
            file = tarfile.TarInfo("/".join(parts))
            file.size, file.mode, file.uid, file.mtime = len(content), 0o400, owner, int(time.time())
            archive.addfile(file, io.BytesIO(content))
    return packed.getvalue()
