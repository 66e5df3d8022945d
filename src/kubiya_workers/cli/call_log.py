"""The gateway's meter: one log line for each model call, with who made it and what it used."""

from kubiya_workers.contracts.keys import Caller
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.observability import logs

log = logs.get(__name__)


class CallLog:
    """What a run used is also in its own events; this covers every caller of the gateway."""

    async def record(self, caller: Caller, model: str, usage: Usage, latency_ms: float) -> None:
        log.info(
            "Model call",
            caller=caller.worker_id or caller.name,
            model=model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            latency_ms=round(latency_ms, 1),
        )
