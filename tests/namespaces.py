"""Two hosts on this machine: network namespaces, joined by a link that can be cut."""

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Host:
    """A namespace, with its one address besides loopback and the name of its end of the link."""

    namespace: str
    address: str
    end: str

    @contextmanager
    def inside(self) -> Iterator[None]:
        """What this thread opens or starts meanwhile is on this host, and stays there."""
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            with open(f"/run/netns/{self.namespace}", "rb") as mine:
                _enter(mine.fileno())
            yield
        finally:
            _enter(before)
            os.close(before)


@dataclass(frozen=True)
class Hosts:
    near: Host
    far: Host

    def cut(self) -> None:
        _ip("-n", self.far.namespace, "link", "set", self.far.end, "down")

    def mend(self) -> None:
        _ip("-n", self.far.namespace, "link", "set", self.far.end, "up")


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Raises RuntimeError with the reason where there can be none."""
    if (why := _missing()) is not None:
        raise RuntimeError(why)
    tag = f"kw{os.getpid()}"
    hosts = Hosts(Host(f"{tag}-near", "10.83.0.1", f"{tag}n"), Host(f"{tag}-far", "10.83.0.2", f"{tag}f"))
    try:
        for host in (hosts.near, hosts.far):
            _ip("netns", "add", host.namespace)
        peer = ("peer", "name", hosts.far.end, "netns", hosts.far.namespace)
        _ip("link", "add", hosts.near.end, "netns", hosts.near.namespace, "type", "veth", *peer)
        for host in (hosts.near, hosts.far):
            _ip("-n", host.namespace, "link", "set", "lo", "up")
            _ip("-n", host.namespace, "addr", "add", f"{host.address}/24", "dev", host.end)
            _ip("-n", host.namespace, "link", "set", host.end, "up")
        yield hosts
    finally:
        for host in (hosts.near, hosts.far):
            with suppress(RuntimeError):
                _ip("netns", "del", host.namespace)


def _missing() -> str | None:
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    return None if shutil.which("ip") else "there is no `ip` (Debian: iproute2)"


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
