"""API keys."""

from pydantic import TypeAdapter

from kubiya_workers.contracts.keys import CreatedKey, ListedKey, NewKey, Ticket

from .connection import Connection
from .paths import part

_CREATED = TypeAdapter(CreatedKey)
_MANY = TypeAdapter(list[ListedKey])
_TICKET = TypeAdapter(Ticket)


class Keys:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self) -> list[ListedKey]:
        return await self._connection.get("/keys", _MANY)

    async def create(self, new: NewKey) -> CreatedKey:
        """The only answer that ever holds the key itself."""
        return await self._connection.put("POST", "/keys", _CREATED, new)

    async def revoke(self, key: str) -> None:
        await self._connection.send("DELETE", f"/keys/{part(key)}")

    async def ticket(self) -> Ticket:
        """What lets one browser into the web interface of the control plane, as this key.

        Raises:
            NotFound: it serves none.
        """
        return await self._connection.put("POST", "/tickets", _TICKET)
