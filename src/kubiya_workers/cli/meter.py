"""The gateway's meter: budgets asked before a call; what it used logged and counted after it."""

from dataclasses import dataclass

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.control_plane.services.models import Models
from kubiya_workers.control_plane.services.usage import Budgets
from kubiya_workers.observability import logs

log = logs.get(__name__)


@dataclass(frozen=True)
class CallMeter:
    """Of every caller. What a worker calls is counted, and its budget asked, with the execution that it is for."""

    budgets: Budgets
    models: Models

    async def admit(self, caller: Caller) -> None:
        """Raises `BudgetExhausted`."""
        if caller.worker_id is None:
            await self.budgets.check(caller.key_id)

    async def record(self, caller: Caller, model: str, usage: Usage, latency_ms: float) -> None:
        log.info(
            "Model call",
            caller=caller.worker_id or caller.name,
            model=model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            latency_ms=round(latency_ms, 1),
        )
        try:
            await self.budgets.count(caller, model, usage, self.models.price_of(model))
        except Unavailable as error:  # the caller has its answer
            log.warning("A model call could not be counted", reason=error.detail)
