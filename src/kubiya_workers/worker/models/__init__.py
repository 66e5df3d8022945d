"""Model calls from the worker's side: one streamed request to the gateway for each `ModelCall`.

`request` turns our conversation into the OpenAI shape; `stream` turns the bytes of the answer into chunks; `assembly`
puts the chunks together into a `ModelReply`; `client` does the IO between them. What goes wrong is an `UpstreamError`
that says whether another attempt can help: the retrying itself is Temporal's.
"""

from .client import ModelClient, OnDelta
from .errors import UpstreamError

__all__ = ["ModelClient", "OnDelta", "UpstreamError"]
