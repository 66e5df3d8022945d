"""A container that ends with the command that runs it, even when that is killed without a chance to say goodbye.

The command's guard ends processes, and a container is none of its: so it is given this one, which waits, and, told to
end, drains the container first.
"""

import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from kubiya_workers.contracts.pool import ContainerRef
from kubiya_workers.settings.inherited import harmless
from kubiya_workers.settings.source import Source

from ..guard import Guard
from .spec import STOP_S


@contextmanager
def tethered(ref: ContainerRef) -> Generator[None]:
    """While it lasts, the container is stopped when this process dies."""
    environ = Source.of_process().environ
    ours = {name: value for name, value in environ.items() if name.startswith("DOCKER_")}
    with Guard.start() as guard:
        waiting = subprocess.Popen(
            [sys.executable, "-P", "-m", "kubiya_workers.launchers.docker.tether", ref.model_dump_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**harmless(environ), **ours},
            start_new_session=True,
        )
        guard.adopt(waiting.pid, grace=STOP_S + 10.0)
        try:
            yield
        finally:
            guard.release(waiting.pid)
            waiting.kill()
            waiting.wait()


def main(words: list[str]) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ref = ContainerRef.model_validate_json(words[0])
    signal.sigwait({signal.SIGTERM})
    from . import kept  # a command that ends in peace spares the memory of Docker's SDK

    kept.stop(ref, STOP_S)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
