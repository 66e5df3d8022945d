"""Which control plane a command speaks to, and with which key."""

from dataclasses import dataclass, field

from . import variables as v
from .paths import Paths
from .source import Source


@dataclass(frozen=True)
class ClientSettings:
    """`url` is None when no control plane is configured: then it is the embedded one on this machine."""

    paths: Paths
    url: str | None
    key: str | None = field(repr=False)
    model: str | None = None
    debug: bool = False

    @classmethod
    def of(cls, source: Source) -> "ClientSettings":
        urls = (source.get(v.BASE_URL), source.get(v.GATEWAY_URL), source.get(v.CONTROL_PLANE_URL))
        return cls(
            paths=Paths.of(source),
            url=next((url for url in urls if url), None),
            key=source.get(v.API_KEY) or None,
            model=source.get(v.MODEL) or None,
            debug=source.get(v.KUBIYA_DEBUG),
        )
