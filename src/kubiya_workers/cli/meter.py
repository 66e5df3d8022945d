"""The gateway's meter: budgets asked before a call; how it ended and what it used logged and counted after it."""

from dataclasses import dataclass

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.control_plane.metrics import Metrics
from kubiya_workers.control_plane.services.models import Models
from kubiya_workers.control_plane.services.usage import Budgets
from kubiya_workers.gateway import Answered, Result
from kubiya_workers.observability import logs

log = logs.get(__name__)


@dataclass(frozen=True)
class CallMeter:
    """Of every caller. What a worker calls is counted, and its budget asked, with the execution that it is for."""

    budgets: Budgets
    models: Models
    metrics: Metrics

    async def admit(self, caller: Caller) -> None:
        """Raises `BudgetExhausted`."""
        if caller.worker_id is None:
            await self.budgets.check(caller.key_id)

    async def record(self, caller: Caller, answered: Answered) -> None:
        outcome, model = answered.outcome, answered.model
        self.metrics.model_call_ended(answered.asked, answered.upstream, outcome.result, answered.latency_ms / 1000)
        if outcome.result is Result.CLIENT_LEFT:
            return  # what it used is told at the end of an answer
        usage = outcome.usage
        log.info(
            "Model call",
            caller=caller.worker_id or caller.name,
            model=model,
            result=outcome.result,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            latency_ms=round(answered.latency_ms, 1),
        )
        try:
            await self.budgets.count(caller, model, usage, self.models.price_of(model))
        except Unavailable as error:  # the caller has its answer
            log.warning("A model call could not be counted", reason=error.detail)
