"""Models as the API lists them."""

from .messages import Usage
from .wire import JsonObject, Wire

OFFLINE_MODEL = "kubiya/offline"
"""The deterministic built-in model: it runs the commands it finds in a prompt, and is labelled so."""


class ModelTest(Wire):
    """What one tiny call to a model came to. `cost_usd` None where no price is known."""

    model: str
    answer: str
    latency_ms: float
    usage: Usage
    cost_usd: float | None = None


class Model(Wire):
    id: str
    value: str
    label: str
    provider: str
    description: str | None = None
    enabled: bool = True
    recommended: bool = False
    compatible_runtimes: tuple[str, ...] = ("default",)
    capabilities: JsonObject = {}
    pricing: JsonObject | None = None
    display_order: int = 0
