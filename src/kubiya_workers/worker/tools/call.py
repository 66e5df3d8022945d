"""One call as a tool's implementation sees it, and the ways it can end."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubiya_workers.contracts.tools import ToolSpec, ToolStatus
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.launchers.guard import Guard


@dataclass(frozen=True)
class Call:
    """`arguments` fit the tool's schema. `environment` is all the environment the tool gets; `directory` exists."""

    spec: ToolSpec
    arguments: JsonObject
    directory: Path
    environment: Mapping[str, str] = field(repr=False)
    idempotency_key: str
    on_output: Callable[[str], None]
    guard: Guard | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of a call: `content` for the model, `output` for people and programs."""

    content: str
    output: JsonObject = field(default_factory=dict[str, object])
    status: ToolStatus = ToolStatus.SUCCESS
    error: str | None = None


Implementation = Callable[[Call], Awaitable[Outcome]]


class ToolFault(Exception):
    """A call that cannot be done; the message is for the model: what is wrong, and what to do instead."""

    status = ToolStatus.FAILED


class Denied(ToolFault):
    """A call that the limits of this agent forbid."""

    status = ToolStatus.DENIED
