"""Workers, as the control plane knows them."""

from pydantic import TypeAdapter

from kubiya_workers.contracts.workers import (
    Action,
    AskedOf,
    Disconnect,
    Heartbeat,
    Registered,
    Registration,
    Wanted,
    Wish,
    Worker,
)

from .connection import Connection
from .paths import part

_ONE = TypeAdapter(Worker)
_MANY = TypeAdapter(list[Worker])
_REGISTERED = TypeAdapter(Registered)
_WANTED = TypeAdapter(Wanted)


class Workers:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def list(self, *, live: bool | None = None, skip: int = 0, limit: int = 100) -> list[Worker]:
        """Newest first; `live` None means live or not."""
        asked = None if live is None else str(live).lower()
        return await self._connection.get("/workers", _MANY, {"live": asked, "skip": skip, "limit": limit})

    async def get(self, worker: str) -> Worker:
        return await self._connection.get(f"/workers/{part(worker)}", _ONE)

    async def ask(self, worker: str, action: Action, asked: AskedOf | None = None) -> Worker:
        """Ask something of a worker, wherever it is; `wish` of the answer says when it has heard."""
        return await self._connection.put("POST", f"/workers/{part(worker)}/{action}", _ONE, asked)

    # --- a worker's own calls

    async def register(self, queue: str, registration: Registration) -> Registered:
        """Introduce a worker of a queue, named by id or name; it is created where it does not exist."""
        return await self._connection.put("POST", f"/worker-queues/{part(queue)}/start", _REGISTERED, registration)

    async def heartbeat(self, worker: str, heartbeat: Heartbeat) -> Wish | None:
        """What is wanted of it, where something is."""
        answer = await self._connection.send("POST", f"/workers/{part(worker)}/heartbeat", heartbeat)
        return self._connection.read(answer, _WANTED).wish if answer.status_code == 200 else None

    async def wish(self, worker: str, *, wait: float) -> Wish | None:
        """What is wanted of it, once something is; None after `wait` seconds, 25 at most."""
        answer = await self._connection.send("GET", f"/workers/{part(worker)}/wish", query={"wait": str(wait)})
        return self._connection.read(answer, _WANTED).wish if answer.status_code == 200 else None

    async def disconnect(self, worker: str, farewell: Disconnect) -> None:
        await self._connection.send("POST", f"/workers/{part(worker)}/disconnect", farewell)
