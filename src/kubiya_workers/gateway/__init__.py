"""The LLM gateway: one OpenAI-compatible door for every model, in the control plane's process.

Flow: `app` authenticates a request and reads its model; `catalogue` says which upstream serves that model (`config`
holds the upstreams, in the shape of LiteLLM's configuration); `forward` passes the request on and streams the answer
back byte by byte, or `offline` answers it without any model; `usage` reads what it cost on the way, `outcome` says
how it ended.

Neighbours: the control plane mounts `router` at `/v1`, gives it a way to authenticate and perhaps a meter, and lists
models through `Gateway.catalogue`. Nothing here retries: that is Temporal's business alone.
"""

from .app import Authenticate, Gateway, Meter, router
from .catalogue import Catalogue
from .outcome import Answered, Outcome, Result

__all__ = ["Answered", "Authenticate", "Catalogue", "Gateway", "Meter", "Outcome", "Result", "router"]
