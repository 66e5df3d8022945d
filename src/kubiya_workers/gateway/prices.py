"""What models cost and can do: data with a date, in `prices.json`, which `scripts/prices.py` makes.

A price is what the provider's list said on that day. Contracts, regions and tiers may differ; a server that says
itself what a call cost is believed.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kubiya_workers.contracts.messages import Price
from kubiya_workers.contracts.wire import JsonObject

_FILE = Path(__file__).with_name("prices.json")


@cache
def _table() -> Mapping[str, Any]:
    return json.loads(_FILE.read_text())


def _facts(model: str) -> Mapping[str, Any] | None:
    """Of a model by any of the names that it goes by: `bedrock/anthropic.claude-…` is listed without its provider."""
    models = _table()["models"]
    return next((models[name] for name in _names(model) if name in models), None)


def _names(model: str) -> Iterator[str]:
    while True:
        yield model
        _, slash, model = model.partition("/")
        if not slash:
            return


def price_of(model: str) -> Price | None:
    """None when it is not known, and for models that cost nothing to call."""
    facts = _facts(model)
    if facts is None or "input" not in facts:
        return None
    return Price(
        input=facts["input"],
        output=facts.get("output", 0.0),
        cached=facts.get("cached", facts["input"]),
        as_of=_table()["as_of"],
    )


def capabilities_of(model: str) -> JsonObject:
    """As the API lists them: `tools`, `vision`, `reasoning`, `context_length` and `max_output_tokens`."""
    facts = _facts(model)
    if facts is None:
        return {"tools": True, "streaming": True}
    return {
        "tools": "tools" in facts,
        "streaming": True,
        "vision": "vision" in facts,
        "reasoning": "reasoning" in facts,
        "context_length": facts.get("context"),
        "max_output_tokens": facts.get("most"),
    }
