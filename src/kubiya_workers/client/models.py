"""Models, as the gateway of the control plane offers them."""

from pydantic import TypeAdapter

from kubiya_workers.contracts.models import Model

from .connection import Connection
from .paths import part

_ONE = TypeAdapter(Model)
_MANY = TypeAdapter(list[Model])


class Models:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self) -> list[Model]:
        return await self._connection.get("/models", _MANY)

    async def get(self, model: str) -> Model:
        return await self._connection.get(f"/models/{part(model, slashes=True)}", _ONE)

    async def default(self) -> Model:
        """The model of an execution that names none."""
        return await self._connection.get("/models/default", _ONE)
