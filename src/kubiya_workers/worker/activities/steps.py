"""What a step of any kind needs of this worker, and what an earlier attempt of it may have left behind."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from kubiya_workers.client import events as event_log
from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.events import Fact
from kubiya_workers.contracts.ids import ExecutionId

from ..events.publisher import Publisher
from ..events.uplink import Uplink
from ..metrics import Metrics, StepKind
from ..tally import Tally
from ..workspaces import Workspaces
from .edge import Running, edge


@dataclass
class Steps:
    """The worker as an activity sees it."""

    client: ControlPlaneClient
    uplink: Uplink
    workspaces: Workspaces
    timeout_s: float
    running: Running = field(default_factory=Running)
    tally: Tally = field(default_factory=Tally)
    metrics: Metrics = field(default_factory=Metrics)

    def edge(self, execution_id: ExecutionId, kind: StepKind, name: str) -> AbstractAsyncContextManager[None]:
        """What every step is wrapped in; `name` is its model or tool."""
        return edge(self.running, self.tally, self.metrics, execution_id, kind, name, self.timeout_s)

    def publisher(self, execution_id: ExecutionId, step: int, attempt: int) -> Publisher:
        http = self.client.connection.http
        return Publisher(http, execution_id, step=step, attempt=attempt, uplink=self.uplink)

    async def finished(self, execution_id: ExecutionId, step: int, attempt: int) -> Fact | None:
        """The closing fact that an earlier attempt stored before it was lost; a first attempt need not ask."""
        if attempt == 1:
            return None
        return await event_log.step_result(self.client.connection.http, execution_id, step)
