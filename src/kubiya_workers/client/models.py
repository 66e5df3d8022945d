"""Models, as the gateway of the control plane offers them."""

import time

from pydantic import TypeAdapter

from kubiya_workers.contracts.chat import usage_of
from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.messages import Price
from kubiya_workers.contracts.models import ChosenModel, Model, ModelTest
from kubiya_workers.contracts.wire import Wire

from .connection import Connection
from .errors import refusal_of
from .paths import part

_ONE = TypeAdapter(Model)
_MANY = TypeAdapter(list[Model])


_FEW = 16
_SHOWN = 200


class _Call(Wire):
    model: str
    messages: tuple[dict[str, str], ...]
    max_tokens: int


class Models:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self) -> list[Model]:
        return await self._connection.get("/models", _MANY)

    async def get(self, model: str) -> Model:
        return await self._connection.get(f"/models/{part(model, slashes=True)}", _ONE)

    async def test(self, model: str) -> ModelTest:
        """One tiny call; its cost is None when no price is known.

        Raises:
            Refusal: what the gateway refuses it with.
            Unavailable: what came back is no answer of a model.
        """
        known, began = await self.get(model), time.perf_counter()
        asked = _Call(model=known.value, messages=({"role": "user", "content": "Say: ok"},), max_tokens=_FEW)
        url = f"{self._connection.url}/v1/chat/completions"
        response = await self._connection.ask("POST", url, asked)
        latency = (time.perf_counter() - began) * 1000
        if response.status_code >= 400:
            raise refusal_of(response)
        price = Price.model_validate(known.pricing) if known.pricing else None
        try:
            fields = response.json()
            said = str(fields["choices"][0]["message"].get("content") or "")
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Unavailable(
                f"{model} answered with something that is no chat completion: {response.text[:_SHOWN]!r}",
                fix="Check that its address is that of an OpenAI-compatible API, such as http://host:port/v1",
            ) from None
        usage = usage_of(fields.get("usage")).priced(price)
        cost = usage.cost_usd if price is not None or usage.cost_usd else None
        return ModelTest(model=model, answer=said, latency_ms=latency, usage=usage, cost_usd=cost)

    async def set_default(self, model: str) -> Model:
        return await self._connection.put("PUT", "/models/default", _ONE, ChosenModel(model=model))

    async def default(self) -> Model:
        """The model of an execution that names none."""
        return await self._connection.get("/models/default", _ONE)
