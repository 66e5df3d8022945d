"""Which control plane a command speaks to, and with which key."""

from dataclasses import dataclass, field

from . import variables as v
from .contexts import Context, LocalProxy
from .paths import Paths
from .source import Source


@dataclass(frozen=True)
class ClientSettings:
    """`url` is None when no control plane is configured: then it is the embedded one on this machine."""

    paths: Paths
    url: str | None
    key: str | None = field(repr=False)
    model: str | None = None
    """What the environment says: it wins over what a context says of its LiteLLM, and that over `context_model`."""
    context_model: str | None = None
    skip_model_validation: bool = False
    own_gateway: bool = False
    """A worker that is started here calls a gateway of its own."""
    debug: bool = False
    local_proxy: LocalProxy | None = None
    """What the context says of a LiteLLM beside a worker."""

    @classmethod
    def of(cls, source: Source, context: Context | None = None) -> "ClientSettings":
        """The environment's, and the context's where it says nothing."""
        also = Source(context.values(source)) if context else Source({})
        return cls(
            paths=Paths.of(source),
            url=source.first(v.BASE_URL, v.GATEWAY_URL, v.CONTROL_PLANE_URL) or also.first(v.CONTROL_PLANE_URL),
            key=source.first(v.API_KEY) or also.first(v.API_KEY),
            model=source.first(v.MODEL, v.MODEL_OVERRIDE),
            context_model=also.first(v.MODEL),
            skip_model_validation=source.get(v.SKIP_MODEL_VALIDATION),
            own_gateway=bool(source.get(v.LITELLM_API_BASE)),
            debug=source.get(v.KUBIYA_DEBUG),
            local_proxy=context.litellm_proxy if context else None,
        )
