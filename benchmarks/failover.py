"""A worker is killed while its model answers, and another one waits: how long until the run goes on."""

import asyncio
import time

from kubiya_workers.testing import Reply, ScriptedModel

from .effort import Effort
from .figures import Figure, of_samples
from .installation import Installation, installation
from .wire import Api

BUDGET_S = 15.0
_WITHIN_S = 60.0
_NEVER_S = 600.0


async def measure(effort: Effort) -> list[Figure]:
    with ScriptedModel([(Reply("Never.", delay_s=_NEVER_S), Reply("Done."))]) as model:
        seconds = [await _until_it_goes_on(model, number) for number in range(effort.kills)]
    return [of_samples("worker killed → the run goes on", "s", seconds, budget=BUDGET_S)]


async def _until_it_goes_on(model: ScriptedModel, number: int) -> float:
    """From the kill to the second attempt's call at the model."""
    with installation() as made:
        made.start_server(model.url)
        api = Api(made.url, made.key)
        before = len(model.chats)
        began = await _killed(made, api, model, before, number)
        await _until_calls(model, before + 2)
        await api.close()
    return model.chats[before + 1].at - began


async def _killed(made: Installation, api: Api, model: ScriptedModel, before: int, number: int) -> float:
    """Begin a run on a worker, start another, and kill the first; when."""
    first = made.start_worker()
    await api.submit("ours", f"Say something, {number}.")  # each conversation has a first attempt of its own
    await _until_calls(model, before + 1)
    made.start_worker()
    first.process.kill()
    return time.monotonic()


async def _until_calls(model: ScriptedModel, count: int) -> None:
    async with asyncio.timeout(_WITHIN_S):
        while len(model.chats) < count:
            await asyncio.sleep(0.01)
