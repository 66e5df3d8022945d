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
    skip_model_validation: bool = False
    own_gateway: bool = False
    """A worker that is started here calls a gateway of its own."""
    debug: bool = False

    @classmethod
    def of(cls, source: Source) -> "ClientSettings":
        return cls(
            paths=Paths.of(source),
            url=source.first(v.BASE_URL, v.GATEWAY_URL, v.CONTROL_PLANE_URL),
            key=source.get(v.API_KEY) or None,
            model=source.first(v.MODEL, v.MODEL_OVERRIDE),
            skip_model_validation=source.get(v.SKIP_MODEL_VALIDATION),
            own_gateway=bool(source.get(v.LITELLM_API_BASE)),
            debug=source.get(v.KUBIYA_DEBUG),
        )
