"""What a call through the LiteLLM of the control plane's gateway takes beyond the model's own time, and its start."""

import json
import time

from .effort import Effort
from .figures import Figure
from .gateway import compared, ms
from .installation import PYTHON, installation
from .wire import Api

_WARM_UP = 20


async def measure(effort: Effort) -> list[Figure]:
    with installation() as made:
        model = made.start_model()
        params = {"model": "openai/scripted", "api_base": model, "api_key": "none"}
        config = made.root / "models.json"
        # One setting is enough for the gateway not to call the model's server itself.
        settings = {"drop_params": True}
        config.write_text(
            json.dumps(
                {"model_list": [{"model_name": "scripted", "litellm_params": params}], "litellm_settings": settings}
            )
        )
        began = time.monotonic()
        server = made.spawn(PYTHON, "-m", "kubiya_workers.cli.serve", "--llm-config", str(config))
        server.until_said("Control plane is up")
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
