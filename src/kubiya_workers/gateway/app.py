"""The routes of the gateway, and the gateway itself: what the composition root builds, starts, mounts and closes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from pydantic_core import from_json, to_json
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from kubiya_workers.contracts.errors import Invalid, Refusal
from kubiya_workers.contracts.ids import new_id
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.settings.server import GatewaySettings

from . import offline
from .catalogue import DEFAULT_ALIAS, Catalogue, Target
from .config import Upstream, upstreams_of
from .exchange import ClientLeft, key_of, read_body, send_json, send_refusal, send_start, while_connected
from .forward import Call, forward, http_client
from .outcome import Answered, Outcome, Result

BUILT_IN = "kubiya"
"""Who serves the offline model."""
_CHUNKS_A_TURN = 32

Authenticate = Callable[[str], Awaitable[Caller]]
"""From a key to who bears it; raises contracts.errors.Unauthorized or Forbidden."""


class Meter(Protocol):
    """Asked before every call, and told of each that was passed on, once it is over.

    `admit` raises a `Refusal` when the caller may make no calls now.
    """

    async def admit(self, caller: Caller) -> None: ...

    async def record(self, caller: Caller, answered: Answered) -> None: ...


class Gateway:
    """The upstreams of one control plane and the connections to them. Used inside a running event loop."""

    def __init__(
        self, settings: GatewaySettings, upstreams: Sequence[Upstream] | None = None, *, read_timeout_s: float = 600.0
    ) -> None:
        chosen = upstreams_of(settings) if upstreams is None else upstreams
        self._http = http_client(read_timeout_s, *(upstream.base_url for upstream in chosen))
        self.catalogue = Catalogue(tuple(chosen), settings.model, self._http)

    async def start(self) -> None:
        """Begin to look for models; returns at once."""
        self.catalogue.start()

    async def close(self) -> None:
        await self.catalogue.close()
        await self._http.aclose()

    async def target_of(self, request: "ModelRequest") -> Target:
        """Where a call goes.

        Raises:
            Refusal: nowhere.
        """
        return await self.catalogue.resolve(request.model or self.catalogue.default())

    async def answer(self, path: str, request: "ModelRequest", target: Target, send: Send) -> Outcome:
        """Answer one call to `path` (`/chat/completions`, `/embeddings`), whatever comes of it.

        Raises:
            Refusal: the offline model does not answer this; nothing was sent yet.
        """
        if target.upstream is None:
            return await _answer_offline(path, request, send)
        return await forward(self._http, Call(target.upstream, path, request.body_for(target)), send)


@dataclass(frozen=True)
class ModelRequest:
    """A request as it came in: its bytes, and the object that they say."""

    raw: bytes
    fields: Mapping[str, Any]

    @classmethod
    def of(cls, raw: bytes) -> "ModelRequest":
        """
        Raises:
            Invalid: the body is not a JSON object, or its `model` or `messages` are of the wrong type.
        """
        try:
            value: object = from_json(raw)
        except ValueError as error:
            raise Invalid(f"the body is not valid JSON: {error}") from None
        if not isinstance(value, dict):
            raise Invalid("the body is not a JSON object")
        fields = cast(dict[str, Any], value)
        if not isinstance(fields.get("model", ""), str):
            raise Invalid("`model` is not a text")
        if not isinstance(fields.get("messages", []), list):
            raise Invalid("`messages` is not a list")
        return cls(raw, fields)

    @property
    def model(self) -> str:
        return self.fields.get("model", "")

    @property
    def streamed(self) -> bool:
        return bool(self.fields.get("stream"))

    def body_for(self, target: Target) -> bytes:
        """The bytes for the upstream: its name for the model, and a stream that ends with its usage.

        The usual body is not encoded again: what is missing is put in before its last brace.
        """
        renamed = {} if self.model == target.model else {"model": target.model}
        options = self.fields.get("stream_options")
        if not self.streamed or (isinstance(options, dict) and "include_usage" in options):
            return to_json({**self.fields, **renamed}) if renamed else self.raw
        if renamed or "stream_options" in self.fields:
            given = cast(dict[str, Any], options) if isinstance(options, dict) else {}
            return to_json({**self.fields, **renamed, "stream_options": {**given, "include_usage": True}})
        return self.raw.rstrip()[:-1] + b',"stream_options":{"include_usage":true}}'


async def _answer_offline(path: str, request: ModelRequest, send: Send) -> Outcome:
    if path != "/chat/completions":
        raise Invalid("the offline model only answers chat completions", fix="configure a model server")
    reply = offline.reply_to(request.fields)
    call_id, created = f"chatcmpl-{new_id()}", int(time.time())
    if request.streamed:
        await send_start(send, 200, [(b"content-type", b"text/event-stream; charset=utf-8")])
        for count, chunk in enumerate(offline.chunks(reply, request.fields, call_id=call_id, created=created)):
            if count % _CHUNKS_A_TURN == 0:
                # Nothing here waits for the network: let other requests, and this client's leaving, have their turn.
                await asyncio.sleep(0)
            event = b"data: " + to_json(chunk) + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
    else:
        await send_json(send, offline.completion(reply, request.fields, call_id=call_id, created=created))
    counted = offline.usage_for(reply, request.fields)
    usage = Usage(input_tokens=counted["prompt_tokens"], output_tokens=counted["completion_tokens"])
    return Outcome(Result.COMPLETED, usage)


class _ModelCall:
    """The endpoint of one path: plain ASGI, so that nothing stands between a token and its reader."""

    def __init__(self, path: str, gateway: Gateway, authenticate: Authenticate, meter: Meter | None) -> None:
        self._path, self._gateway, self._authenticate, self._meter = path, gateway, authenticate, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        try:
            caller = await self._authenticate(key_of(scope))
            if self._meter is not None:
                await self._meter.admit(caller)
            request = ModelRequest.of(await read_body(scope, receive))
            target = await self._gateway.target_of(request)
        except Refusal as refusal:
            await send_refusal(send, refusal)
            return
        except ClientLeft:
            return
        outcome = await self._answered(request, target, receive, send)
        if self._meter is not None:
            await self._meter.record(caller, _answered(request, target, outcome, begun))

    async def _answered(self, request: ModelRequest, target: Target, receive: Receive, send: Send) -> Outcome:
        try:
            async with while_connected(receive, send) as connected_send:
                return await self._gateway.answer(self._path, request, target, connected_send)
        except Refusal as refusal:
            await send_refusal(send, refusal)
            return Outcome(Result.REFUSED)
        except ClientLeft:
            return Outcome(Result.CLIENT_LEFT)


def _answered(request: ModelRequest, target: Target, outcome: Outcome, begun: float) -> Answered:
    """`begun` is of the performance counter."""
    return Answered(
        asked=target.model if request.model in ("", DEFAULT_ALIAS) else request.model,
        model=target.model,
        upstream=target.upstream.name if target.upstream else BUILT_IN,
        outcome=outcome,
        latency_ms=(time.perf_counter() - begun) * 1000,
    )


class _Models:
    """The models in OpenAI's shape."""

    def __init__(self, gateway: Gateway, authenticate: Authenticate) -> None:
        self._gateway, self._authenticate = gateway, authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._authenticate(key_of(scope))
            models = await self._gateway.catalogue.list()
        except Refusal as refusal:
            await send_refusal(send, refusal)
            return
        data = [{"id": m.id, "object": "model", "created": 0, "owned_by": m.provider} for m in models]
        await send_json(send, {"object": "list", "data": data})


def router(gateway: Gateway, authenticate: Authenticate, meter: Meter | None = None) -> ASGIApp:
    """The gateway's routes, to be mounted at `/v1`. Starting and closing the gateway is the owner's business."""
    calls = ("/chat/completions", "/embeddings")
    routes = [Route(path, _ModelCall(path, gateway, authenticate, meter), methods=["POST"]) for path in calls]
    return Router([*routes, Route("/models", _Models(gateway, authenticate), methods=["GET"])])
