"""What several processes read in the answers of OpenAI-compatible servers."""

import math
from collections.abc import Mapping
from typing import Any, cast

from .messages import Usage


def usage_of(raw: object) -> Usage:
    """The usage that an answer's `usage` object tells of; zeros for what it does not say, or says wrongly.

    `cost_usd` is what the server itself says that the call cost, where it does.
    """
    fields = _mapping(raw)
    prompt, completion = (
        _mapping(fields.get("prompt_tokens_details")),
        _mapping(fields.get("completion_tokens_details")),
    )
    return Usage(
        input_tokens=_count(fields.get("prompt_tokens", fields.get("input_tokens"))),
        output_tokens=_count(fields.get("completion_tokens", fields.get("output_tokens"))),
        cached_tokens=_count(prompt.get("cached_tokens", fields.get("prompt_cache_hit_tokens"))),
        reasoning_tokens=_count(completion.get("reasoning_tokens", fields.get("reasoning_tokens"))),
        cost_usd=_number(fields.get("cost")),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _count(value: object) -> int:
    return int(_number(value))


def _number(value: object) -> float:
    return max(0.0, float(value)) if isinstance(value, int | float) and math.isfinite(value) else 0.0
