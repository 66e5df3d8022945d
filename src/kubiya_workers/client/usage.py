"""What model calls used and cost."""

from datetime import date

from pydantic import TypeAdapter

from kubiya_workers.contracts.usage import UsageBy, UsageSum

from .connection import Connection

_MANY = TypeAdapter(list[UsageSum])


class UsageReports:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def by(
        self, by: UsageBy, *, since: date | None = None, until: date | None = None, execution: str | None = None
    ) -> list[UsageSum]:
        """The days (UTC) are inclusive."""
        asked = {"by": by.value, "since": since, "until": until, "execution_id": execution}
        query = {name: str(value) for name, value in asked.items() if value is not None}
        return await self._connection.get("/usage", _MANY, query)
