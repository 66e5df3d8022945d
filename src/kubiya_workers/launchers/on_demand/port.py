"""What a control plane needs of whatever starts workers on demand."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from kubiya_workers.contracts.on_demand import KeptWorker
from kubiya_workers.settings import variables as v

PASSED = (
    *(v.LOG_LEVEL, v.LOG_FORMAT, v.KUBIYA_DEBUG, v.HEARTBEAT_INTERVAL, v.MEMORY_LIMIT, v.CPU_LIMIT),
    *(v.MAX_CONCURRENT_ACTIVITIES, v.MAX_CONCURRENT_WORKFLOWS, v.ACTIVITY_TIMEOUT),
    *(v.MCP_MAX_SERVERS, v.MCP_IDLE_TIMEOUT),
    *(v.HTTP_PROXY, v.HTTPS_PROXY, v.ALL_PROXY, v.NO_PROXY),
)
"""What of the control plane's settings its workers on demand have, too: nothing that is its own, and no key."""


def passed(environ: Mapping[str, str]) -> dict[str, str]:
    """Those that are set; proxies in either case, as they are read."""
    names = [name for variable in PASSED for name in (variable.name, variable.name.lower())]
    return {name: environ[name] for name in names if environ.get(name)}


@dataclass(frozen=True)
class Order:
    """One worker: its name, which is its queue's, and the control plane that it registers with.

    `keep`: it may have to be left for inspection, so that nothing may remove it by itself.
    """

    name: str
    url: str
    key: str = field(repr=False)
    keep: bool = False


@dataclass(frozen=True)
class Ending:
    """How a worker ended: its exit status, None where nobody knows, and its last words."""

    status: int | None = None
    words: str = ""

    @property
    def told(self) -> str:
        """In a sentence without its subject."""
        match self.status:
            case None:
                how = "was not there"
            case status if status < 0:
                how = f"was killed by signal {-status}"
            case status:
                how = f"ended with status {status}"
        return how + (f": {self.words}" if self.words else "")


class Provisioner(Protocol):
    """Starts workers of one execution each, and knows those that it has started, also before its last start.

    Whatever cannot be done is a Refusal: Unavailable when it may work later, anything else when it will not.
    """

    kind: str
    look_s: float
    """How often it is worth asking whether one has ended, in seconds."""
    outlives: bool
    """Whether its workers stay when the control plane ends."""

    async def start(self, order: Order) -> None:
        """Start one; there is none of this name."""
        ...

    async def ended(self, name: str) -> Ending | None:
        """None while it runs."""
        ...

    async def remove(self, name: str) -> None:
        """End it if it runs, and remove all that is left of it; it may be gone already."""
        ...

    async def keep(self, name: str) -> KeptWorker:
        """Leave what is left of one that has ended."""
        ...

    async def left(self) -> Collection[str]:
        """The names of all that were started here and not removed, kept ones too."""
        ...

    async def close(self) -> None:
        """The control plane ends."""
        ...
