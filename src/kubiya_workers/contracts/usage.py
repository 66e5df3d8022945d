"""What model calls used and cost, summed up."""

from enum import StrEnum

from .messages import Usage
from .wire import Wire


class UsageBy(StrEnum):
    """What is summed up: calls of the same agent, of the same day (UTC), and so on."""

    AGENT = "agent"
    MODEL = "model"
    WORKER = "worker"
    QUEUE = "queue"
    KEY = "key"
    DAY = "day"
    EXECUTION = "execution"
    STEP = "step"
    """The single calls of executions."""


class UsageSum(Wire):
    """`name` None: calls that came from nothing of the kind, as those of a program that calls the gateway itself."""

    name: str | None = None
    calls: int
    usage: Usage
