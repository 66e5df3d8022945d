"""How a container of our images is, asked from within: status 0 while it may be given work, else 1 and why.

A worker's health listens on a port that only its record names, and so does a control plane, to this machine, when it
serves TLS.
"""

import asyncio
import sys

from kubiya_workers.contracts.pool import UpkeepState
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import Source

from .. import probe, state
from ..upkeep import records

_CONTROL_PLANE = "control-plane"


def main(words: list[str]) -> int:
    source = Source.of_process()
    paths = Paths.of(source)
    addresses = _control_plane(paths) if words == [_CONTROL_PLANE] else _workers(paths)
    if not addresses:
        sys.stdout.write("nothing runs yet\n")
        return 1
    return max(asyncio.run(_ask(address)) for address in addresses)


def _control_plane(paths: Paths) -> list[str]:
    running = state.read(paths)
    return [running.url] if running else []


def _workers(paths: Paths) -> list[str]:
    return [
        record.health
        for record in records.all_(paths)
        if record.health is not None and record.state is UpkeepState.RUNNING
    ]


async def _ask(address: str) -> int:
    answered = await probe.answer(address, "/readyz")
    sys.stdout.write(f"{address}: {answered[1].decode(errors='replace') if answered else 'no answer'}\n")
    return 0 if answered is not None and answered[0] == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
