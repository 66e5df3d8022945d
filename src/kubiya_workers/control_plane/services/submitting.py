"""From a request to an execution, whoever makes it: a person, a program, a job."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from kubiya_workers.contracts.executions import NewExecution, Submitted
from kubiya_workers.contracts.ids import JobId, KeyId

from ..store.database import Database
from . import runs, team_runs
from .executions import Executions
from .models import Models
from .provisions import Taken


@dataclass(frozen=True)
class Submitting:
    """`on_demand`: a worker is started where none is live."""

    executions: Executions
    database: Database
    models: Models
    on_demand: bool

    async def __call__(
        self,
        kind: Literal["agent", "team"],
        ref: str,
        new: NewExecution,
        *,
        key_id: KeyId,
        identity: str | None = None,
        job_id: JobId | None = None,
    ) -> Submitted:
        """Settle what runs where, store it and start it; `identity` names a submit that may be made again.

        Raises:
            Refusal: as `runs.plan`, `team_runs.plan` and `Executions.submit`.
        """
        plan = team_runs.plan if kind == "team" else runs.plan
        while True:
            settled = await plan(self.database, ref, new, self.models, on_demand=self.on_demand)
            with suppress(Taken):  # somebody else was given the worker that waited for it
                return await self.executions.submit(settled, new, key_id=key_id, identity=identity, job_id=job_id)
