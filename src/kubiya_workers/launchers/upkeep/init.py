"""What is needed of the first process of a container: it hands signals on, and reaps what others leave behind."""

import os
import signal
import sys

_HANDED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def become_init_if_first() -> None:
    """Return in a child when this is process 1; the parent stays behind and ends as the child ends.

    Call it before anything is started or opened. Process 1 is given every orphan of the container, and a signal
    without a handler does nothing to it: a worker must not be it.
    """
    if os.getpid() != 1:
        return
    child = os.fork()
    if child == 0:
        return
    for number in _HANDED_ON:
        signal.signal(number, lambda received, _: os.kill(child, received))
    sys.exit(_status(child))


def _status(child: int) -> int:
    """Reap until the child ends: its exit status, as a shell counts."""
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return 1
        if pid == child:
            ended = os.waitstatus_to_exitcode(status)
            return ended if ended >= 0 else 128 - ended
