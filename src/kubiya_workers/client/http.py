"""`ControlPlaneClient`: the resources of one control plane, over one pool of connections."""

from types import TracebackType
from typing import TYPE_CHECKING

import httpx

from .agents import Agents
from .connection import Connection
from .environments import Environments
from .executions import Executions
from .health import HealthChecks
from .jobs import Jobs
from .keys import Keys
from .models import Models
from .queues import Queues
from .skills import Skills
from .teams import Teams
from .usage import UsageReports
from .workers import Workers

if TYPE_CHECKING:
    from .plans import Plans


class ControlPlaneClient:
    """`async with ControlPlaneClient(url, key) as cp: await cp.agents.list()`.

    Every method of a resource raises `contracts.errors.Refusal`: the one the control plane answered with, or
    `client.errors.Unreachable` when no answer came.
    """

    def __init__(self, url: str, key: str, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.connection = Connection(url, key, transport=transport)
        self.agents = Agents(self.connection)
        self.teams = Teams(self.connection)
        self.skills = Skills(self.connection)
        self.models = Models(self.connection)
        self.environments = Environments(self.connection)
        self.queues = Queues(self.connection)
        self.workers = Workers(self.connection)
        self.executions = Executions(self.connection)
        self.jobs = Jobs(self.connection)
        self.keys = Keys(self.connection)
        self.usage = UsageReports(self.connection)
        self.health = HealthChecks(self.connection)

    @property
    def plans(self) -> "Plans":
        from .plans import Plans  # most who are clients never plan: they are spared its types

        return Plans(self.connection)

    @property
    def url(self) -> str:
        return self.connection.url

    async def __aenter__(self) -> "ControlPlaneClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.connection.close()
