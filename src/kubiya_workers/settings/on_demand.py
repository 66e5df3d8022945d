"""Whether and how a control plane starts workers for executions that have none."""

from dataclasses import dataclass

from . import variables as v
from .source import Source

PROCESS, DOCKER, KUBERNETES, NONE = "process", "docker", "kubernetes", "none"


@dataclass(frozen=True)
class OnDemandSettings:
    """`kind` is what starts them. `limit` of them are there at once, of which `warm` wait for whoever comes."""

    kind: str = NONE
    warm: int = 0
    limit: int = v.MAX_PROVISIONED.default
    url: str | None = None
    """Where they reach the control plane, when that is not the address it listens on."""

    @property
    def is_on(self) -> bool:
        return self.kind != NONE

    @classmethod
    def of(cls, source: Source, *, embedded: bool, kind: str | None = None) -> "OnDemandSettings":
        """`embedded`: it is the control plane of one person's machine, whose own processes may do the work."""
        return cls(
            kind=source.get(v.PROVISIONER, kind) or (PROCESS if embedded else NONE),
            warm=source.get(v.WARM_WORKERS),
            limit=source.get(v.MAX_PROVISIONED),
            url=source.get(v.PUBLIC_URL) or None,
        )
