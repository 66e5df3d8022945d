"""API keys: scoped, shown once, stored hashed."""

from enum import StrEnum

from pydantic import Field

from .ids import KeyId, QueueId, WorkerId
from .wire import Timestamp, Wire


class Scope(StrEnum):
    ADMIN = "admin"
    """Everything: keys and what is asked of workers, too."""
    CLIENT = "client"
    """Run and read executions, and manage agents, skills, queues and environments."""
    READ = "read"
    """See what a client sees, and change nothing."""
    WORKER = "worker"
    """Register workers; a worker's own token may act only for that worker."""


class BudgetPeriod(StrEnum):
    """What a key's budget is for; days and months are UTC's."""

    DAY = "day"
    MONTH = "month"
    EVER = "ever"


class Key(Wire):
    id: KeyId
    name: str
    scope: Scope
    prefix: str
    """The first characters of the key, to recognise it by."""
    worker_id: WorkerId | None = None
    queue_id: QueueId | None = None
    created_at: Timestamp
    expires_at: Timestamp | None = None
    revoked_at: Timestamp | None = None
    max_cost_usd: float | None = None
    """US dollars that model calls of its runs may cost in a `budget_period`; None is no limit."""
    budget_period: BudgetPeriod | None = None
    last_used_at: Timestamp | None = None
    """To within a minute; None for one that was never used."""
    registered_by: KeyId | None = None
    """Of a worker's token: the key that the worker was registered with."""


class ListedKey(Key):
    spent_usd: float | None = None
    """What has been used of its budget."""


class NewKey(Wire):
    """`budget_period` is a month where there is a budget and it says nothing else.

    `queue_id` may be the queue's name, too: a key of scope worker registers workers of that queue alone.
    """

    name: str
    scope: Scope = Scope.CLIENT
    queue_id: QueueId | None = None
    expires_at: Timestamp | None = None
    max_cost_usd: float | None = Field(default=None, gt=0)
    budget_period: BudgetPeriod | None = None


class CreatedKey(Key):
    """The only answer that ever carries the key itself."""

    key: str


class Caller(Wire):
    """Who makes a request, once its key is known to be good."""

    key_id: KeyId
    name: str
    scope: Scope
    worker_id: WorkerId | None = None
    queue_id: QueueId | None = None


class Ticket(Wire):
    """Lets one browser in, once, as the key that asked for it."""

    ticket: str = Field(repr=False)
    path: str
    """Of the page that it opens, at the control plane's address."""
    expires_at: Timestamp
