"""Workers, as the control plane knows them."""

from pydantic import TypeAdapter

from kubiya_workers.contracts.workers import Disconnect, Heartbeat, Registered, Registration, Worker

from .connection import Connection
from .paths import part

_ONE = TypeAdapter(Worker)
_MANY = TypeAdapter(list[Worker])
_REGISTERED = TypeAdapter(Registered)


class Workers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, *, skip: int = 0, limit: int = 100) -> list[Worker]:
        return await self._connection.get("/workers", _MANY, {"skip": skip, "limit": limit})

    async def get(self, worker: str) -> Worker:
        return await self._connection.get(f"/workers/{part(worker)}", _ONE)

    # --- a worker's own calls

    async def register(self, queue: str, registration: Registration) -> Registered:
        """Introduce a worker of a queue, named by id or name; it is created where it does not exist."""
        return await self._connection.put("POST", f"/worker-queues/{part(queue)}/start", _REGISTERED, registration)

    async def heartbeat(self, worker: str, heartbeat: Heartbeat) -> None:
        await self._connection.send("POST", f"/workers/{part(worker)}/heartbeat", heartbeat)

    async def disconnect(self, worker: str, farewell: Disconnect) -> None:
        await self._connection.send("POST", f"/workers/{part(worker)}/disconnect", farewell)
