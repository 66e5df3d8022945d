"""What a call through the LiteLLM of the control plane's gateway takes beyond the model's own time, and its start."""

import time

from .effort import Effort
from .figures import Figure
from .gateway import compared, ms
from .installation import installation
from .wire import Api

_WARM_UP = 20


async def measure(effort: Effort) -> list[Figure]:
    with installation() as made:
        model = made.start_model()
        began = time.monotonic()
        made.start_litellm_server(model)
        started = time.monotonic() - began
        direct, through = Api(model, "none"), Api(made.url, made.key)
        for _ in range(_WARM_UP):
            await ms(direct, stream=True)
            await ms(through, stream=True)
        calls = effort.calls // 2
        figures = [
            figure
            for stream in (False, True)
            for figure in await compared(direct, through, stream, calls, what="through LiteLLM", budget=None)
        ]
        await direct.close()
        await through.close()
    return [Figure("control plane with LiteLLM → up, installed then", started, "s", 1), *figures]
