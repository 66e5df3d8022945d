"""How evenly tokens come: the time between two of them at the reader, beside the time between them at the model."""

from contextlib import aclosing
from itertools import pairwise

from .effort import Effort
from .figures import Figure, percentile
from .installation import installation
from .tokens import PER_SECOND, read, since
from .wire import Api

BUDGET_MS = 5.0


async def measure(effort: Effort) -> list[Figure]:
    """One stream on each of the paths."""
    return [
        _figure("forwarded by the gateway", await _called(effort.tokens, litellm=False)),
        _figure("through LiteLLM", await _called(effort.tokens, litellm=True)),
        _figure("as the events of a run", await _run(effort.tokens)),
    ]


def _figure(path: str, lags: list[float]) -> Figure:
    # Two tokens are further apart at the reader than at the model by as much as the later one was longer on its way.
    moved = [abs(later - earlier) for earlier, later in pairwise(lags)]
    note = f"p50 {percentile(moved, 50):.2f} ms"
    return Figure(f"between tokens, {path}: p99", percentile(moved, 99), "ms", len(moved), budget=BUDGET_MS, note=note)


async def _called(tokens: int, *, litellm: bool) -> list[float]:
    with installation() as made:
        model = made.start_stamping_model(1, tokens, PER_SECOND)
        _ = made.start_litellm_server(model) if litellm else made.start_server(model)
        api = Api(made.url, made.key)
        for _warm_up in range(2):
            lags: list[float] = []
            async with aclosing(api.chat()) as pieces:
                async for piece in pieces:
                    lags += since(piece)
        await api.close()
    return lags


async def _run(tokens: int) -> list[float]:
    with installation() as made:
        made.start_server(made.start_stamping_model(1, tokens, PER_SECOND))
        made.start_worker()
        api = Api(made.url, made.key)
        await read(api)
        lags = await read(api)
        await api.close()
    return lags
