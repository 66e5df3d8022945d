"""Worker queues. A queue is named by id or by name, and made in an environment."""

from pydantic import TypeAdapter

from kubiya_workers.contracts.environments import DEFAULT_ENVIRONMENT
from kubiya_workers.contracts.pool import CrashReport
from kubiya_workers.contracts.queues import NewQueue, Queue, QueuePatch
from kubiya_workers.contracts.wire import JsonObject, Wire
from kubiya_workers.contracts.workers import Worker

from .connection import Connection
from .paths import part

_ONE = TypeAdapter(Queue)
_MANY = TypeAdapter(list[Queue])
_WORKERS = TypeAdapter(list[Worker])


class _Config(Wire):
    settings: JsonObject = {}


_CONFIG = TypeAdapter(JsonObject)


class Queues:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def workers(self, queue: str) -> list[Worker]:
        return await self._connection.get(f"/worker-queues/{part(queue)}/workers", _WORKERS)

    async def list(self, *, skip: int = 0, limit: int = 100) -> list[Queue]:
        return await self._connection.get("/worker-queues", _MANY, {"skip": skip, "limit": limit})

    async def get(self, queue: str) -> Queue:
        return await self._connection.get(f"/worker-queues/{part(queue)}", _ONE)

    async def settings(self, queue: str) -> JsonObject:
        """What workers of the queue heed; their own keys may ask for it, too."""
        return _Config.model_validate(await self.config(queue)).settings

    async def config(self, queue: str) -> JsonObject:
        """All that workers of the queue are configured with."""
        return await self._connection.get(f"/worker-queues/{part(queue)}/config", _CONFIG)

    async def create(self, new: NewQueue, *, environment: str = DEFAULT_ENVIRONMENT) -> Queue:
        return await self._connection.put("POST", f"/environments/{part(environment)}/worker-queues", _ONE, new)

    async def edit(self, queue: str, patch: QueuePatch) -> Queue:
        return await self._connection.put("PATCH", f"/worker-queues/{part(queue)}", _ONE, patch)

    async def crashed(self, queue: str, report: CrashReport) -> None:
        """Say how a worker of the queue ended, so that it counts as lost at once. Saying it twice is fine."""
        await self._connection.send("POST", f"/worker-queues/{part(queue)}/crashes", report)

    async def delete(self, queue: str, *, force: bool = False) -> None:
        """Refused with `Conflict` while live workers poll the queue, unless forced."""
        query = {"force": "true"} if force else None
        await self._connection.send("DELETE", f"/worker-queues/{part(queue)}", query=query)
