"""Which of the executions that wait on a queue is taken first: Temporal's priority keys, and names for them."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

PRIORITIES: Mapping[str, int] = {"critical": 1, "high": 2, "normal": 3, "low": 4}
"""1 is taken first, 5 last."""
NORMAL = PRIORITIES["normal"]
FIRST, LAST = 1, 5


def _numbered(value: object) -> object:
    return PRIORITIES.get(value.strip().lower(), value) if isinstance(value, str) else value


Priority = Annotated[int, BeforeValidator(_numbered), Field(ge=FIRST, le=LAST)]
"""A number from 1, taken first, to 5, or one of the names; a number on the wire."""


def named(priority: int) -> str:
    """As people read it: `high (2)`, or the number alone where it has no name."""
    name = next((name for name, number in PRIORITIES.items() if number == priority), None)
    return f"{name} ({priority})" if name else str(priority)
