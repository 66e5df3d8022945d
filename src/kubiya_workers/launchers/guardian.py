"""The guard's process, and what it knows of processes: groups, their members, and who they really are.

Run as a script by an isolated interpreter (`python -I -S guardian.py`), so it imports nothing but small parts of the
standard library and none of the package; `guard` uses the same functions inside the owner.

Reads lines from its standard input, `adopt PID GRACE START` and `release PID`, until the owner is gone; then ends
every group that is still adopted and exits.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable

SWEEP_S = 2.0
"""How often groups that ended by themselves are forgotten, before their numbers can be used again."""
GIVE_UP_S = 5.0
"""How long a killed group may take to vanish; beyond it, it hangs in the kernel and no signal helps."""

_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LINUX = sys.platform.startswith("linux")


def _boot() -> str:
    """Start times count from the boot of the machine: one of an earlier boot is another's."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as boot:
            return boot.read(8)
    except OSError:
        return ""


_BOOT = _boot()


class Adopted:
    """A process group to be ended: its leader's start time tells it from a later one of the same number."""

    __slots__ = ("grace", "pid", "start")

    def __init__(self, pid: int, start: str, grace: float) -> None:
        self.pid = pid
        self.start = start
        self.grace = grace

    def line(self) -> bytes:
        return f"adopt {self.pid} {self.grace} {self.start}\n".encode()


def start_time(pid: int) -> str:
    """When the process `pid` began, in a form that is only good for comparing; empty when there is none."""
    return _describe(pid)[1]


def is_running(pid: int, start: str) -> bool:
    """Whether the process `pid` is the one that began at `start`, and has not ended."""
    state, began = _describe(pid)
    return state not in ("", "Z", "X") and began == start


def members(pid: int, start: str) -> list[int]:
    """The live processes of the group or session that `pid` leads or led.

    Sessions count too: a command such as `timeout` makes a group of its own within them. A number cannot be given
    to a new process while a group or session still bears it, so members without a leader are the old leader's.
    """
    if start_time(pid) not in ("", start):
        return []
    own = os.getpid()
    return [other for other in _pids() if other != own and _belongs(other, pid) and _is_live(other)]


def send(pid: int, start: str, number: int) -> bool:
    """Signal every member of the group; whether there was one."""
    found = members(pid, start)
    if not found:
        return False
    _quietly(os.killpg, pid, number)
    for member in found:
        # Those in groups of their own; the rest have just had the signal, which two of do no harm.
        if _group(member) != pid:
            _quietly(os.kill, member, number)
    return True


def terminate(pid: int, start: str) -> bool:
    """Ask a group to end; a stopped one is woken, or it would never hear."""
    found = send(pid, start, signal.SIGTERM)
    return found and send(pid, start, signal.SIGCONT)


def end_all(groups: list[Adopted]) -> None:
    """End all groups at once: SIGTERM, each its grace, SIGKILL."""
    began = time.monotonic()
    for group in groups:
        terminate(group.pid, group.start)
    waiting = groups
    while waiting:
        waiting = [group for group in waiting if _still_there(group, time.monotonic() - began)]
        time.sleep(0.02 if waiting else 0)


def _still_there(group: Adopted, elapsed: float) -> bool:
    if elapsed < group.grace:
        return bool(members(group.pid, group.start))
    return send(group.pid, group.start, signal.SIGKILL) and elapsed < group.grace + GIVE_UP_S


def _belongs(pid: int, leader: int) -> bool:
    try:
        return os.getsid(pid) == leader or os.getpgid(pid) == leader
    except OSError:
        return False


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _is_live(pid: int) -> bool:
    return _describe(pid)[0] not in ("", "Z", "X")


def _quietly(call: Callable[[int, int], None], pid: int, number: int) -> None:
    """Signal something that may have ended meanwhile, or become another user's."""
    try:  # noqa: SIM105 - contextlib would be this process's largest import
        call(pid, number)
    except OSError:
        pass


def _pids() -> list[int]:
    if _LINUX:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [int(pid) for pid in _ps("-A", "-o", "pid=").split()]


def _describe(pid: int) -> tuple[str, str]:
    """The state letter and the start time of a process; both empty when there is none."""
    if not _LINUX:
        state, _, start = _ps("-o", "state=,lstart=", "-p", str(pid)).strip().partition(" ")
        return state[:1], " ".join(start.split())
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The name, in brackets, may hold anything; field 3 follows its end, field 22 is the start.
            fields = stat.read().rpartition(b")")[2].split()
    except OSError:
        return "", ""
    return fields[0].decode(), f"{fields[19].decode()}-{_BOOT}"


def _ps(*arguments: str) -> str:
    # Imported where it is needed: it costs more than all the rest of this process.
    import subprocess

    return subprocess.run(["/bin/ps", *arguments], capture_output=True, text=True, check=False).stdout


def _follow(line: str, adopted: dict[int, Adopted]) -> None:
    order, _, rest = line.partition(" ")
    if order == "adopt":
        pid, grace, start = rest.split(" ", 2)
        adopted[int(pid)] = Adopted(int(pid), start, float(grace))
    elif order == "release":
        adopted.pop(int(rest), None)


def _sweep(adopted: dict[int, Adopted]) -> None:
    for group in list(adopted.values()):
        if start_time(group.pid) != group.start and not members(group.pid, group.start):
            del adopted[group.pid]


def main() -> None:
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    adopted: dict[int, Adopted] = {}
    pending = b""
    while True:
        if not select.select([0], [], [], SWEEP_S if adopted else None)[0]:
            _sweep(adopted)
            continue
        chunk = os.read(0, 65_536)
        if not chunk:
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            _follow(line.decode(), adopted)
    end_all(list(adopted.values()))


if __name__ == "__main__":
    main()
