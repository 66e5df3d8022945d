"""How a call to a model ended."""

from dataclasses import dataclass, field
from enum import StrEnum

from kubiya_workers.contracts.messages import Usage


class Result(StrEnum):
    COMPLETED = "completed"
    RATE_LIMITED = "rate_limited"
    """The upstream answered 429."""
    REFUSED = "refused"
    """The upstream answered another 4xx, or sent the caller elsewhere."""
    FAILED = "failed"
    """The upstream answered 5xx, or told of an error in its stream."""
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    BROKE_OFF = "broke_off"
    CLIENT_LEFT = "client_left"

    @classmethod
    def of_status(cls, status: int) -> "Result":
        """Of an upstream's HTTP status of 300 or more."""
        if status == 429:
            return cls.RATE_LIMITED
        return cls.FAILED if status >= 500 else cls.REFUSED


@dataclass(frozen=True)
class Outcome:
    """What came of a call, and what it used: zeros when it failed."""

    result: Result
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Answered:
    """A call that ended. `asked` is the name that its caller gave, `model` the one of the upstream that served it."""

    asked: str
    model: str
    upstream: str
    outcome: Outcome
    latency_ms: float
    """From the request to the end of the answer."""
