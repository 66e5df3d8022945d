"""Models as the API lists them."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, cast

from .errors import Invalid
from .messages import Usage
from .wire import JsonObject, Wire

OFFLINE_MODEL = "kubiya/offline"
"""The deterministic built-in model: it runs the commands it finds in a prompt, and is labelled so."""
LITELLM_RETRY_AFTER = "llm_provider-retry-after"
"""How a LiteLLM hands on the `Retry-After` of the server behind it."""


class ModelTest(Wire):
    """What one tiny call to a model came to. `cost_usd` None where no price is known."""

    model: str
    answer: str
    latency_ms: float
    usage: Usage
    cost_usd: float | None = None


class ChosenModel(Wire):
    """The body that sets the default model."""

    model: str


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


def listed_names(body: object) -> Iterable[str]:
    """The model names in the answer to `GET /models`.

    Raises:
        ValueError: the answer is something else.
    """
    items: object = cast(Mapping[str, Any], body).get("data") if isinstance(body, dict) else body
    if not isinstance(items, list):
        raise ValueError("the answer is no list of models")
    for item in cast(list[object], items):
        name = cast(Mapping[str, Any], item).get("id") if isinstance(item, dict) else None
        if isinstance(name, str) and name:
            yield name


def is_offered(name: str, offers: Iterable[str]) -> bool:
    """Whether one of these names or patterns is this model's."""
    return any(fnmatchcase(name, offer) for offer in offers)


def check_offered(name: str, offers: Sequence[str], where: str) -> None:
    """Raises `Invalid`, with the names that look like this one, when it is not offered `where`."""
    if not is_offered(name, offers):
        raise unknown_model(name, where, offers)


def unknown_model(name: str, where: str, known: Sequence[str]) -> Invalid:
    """What to say of a model that is not among those `known`."""
    nearest = get_close_matches(name, known, n=3, cutoff=0.5)
    meant = f"Did you mean {' or '.join(nearest)}? " if nearest else ""
    return Invalid(
        f"there is no model {name!r} at {where}",
        fix=f"{meant}`kubiya model list` shows those of the control plane; --skip-model-validation tries it anyway.",
    )
