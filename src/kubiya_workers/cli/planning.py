"""How planning asks models: through the gateway of its own process, as the caller."""

from collections.abc import Callable
from typing import Literal

from kubiya_workers.contracts.activities import ModelCall, ModelReply
from kubiya_workers.contracts.errors import ModelFailed
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.planning.planner import SchemaRefused
from kubiya_workers.worker.models import ModelClient, UpstreamError


class OwnGateway:
    """The control plane's gateway at `url`, called as everybody calls it: so what planning uses is admitted, metered
    and stopped as any call of the caller's key."""

    def __init__(self, auth: Auth, url: str) -> None:
        self._auth = auth
        self._url = url

    async def __call__(
        self, caller: Caller, call: ModelCall, on_text: Callable[[Literal["message", "reasoning"], str], None]
    ) -> ModelReply:
        """Raises `ModelFailed`, `SchemaRefused`."""
        with self._auth.lent(caller) as key:
            async with ModelClient(self._url, key, direct=True) as client:
                try:
                    return await client.complete(call, on_text)
                except UpstreamError as error:
                    kind = SchemaRefused if _is_about_the_schema(call, error) else ModelFailed
                    raise kind(
                        f"{call.model} made no plan: {error.message}",
                        fix=f"See whether it answers: kubiya model test {call.model}. "
                        "Ask another one: kubiya plan create --model NAME",
                    ) from error


def _is_about_the_schema(call: ModelCall, error: UpstreamError) -> bool:
    """By the name of the field: servers have no code of their own for it."""
    named = any(field in error.message for field in ("response_format", "json_schema"))
    return call.answer_schema is not None and error.status in (400, 422) and named
