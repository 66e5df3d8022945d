"""What model calls used, and the budgets of keys.

A call of an execution is counted in the transaction that stores its answer: once, whatever is sent again. A call that a
program makes at the gateway itself is counted when it was answered. A budget is asked before each call, so that what is
overspent is at most the calls that were going on.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.errors import BudgetExhausted, Invalid
from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import BudgetPeriod, Caller, Key, ListedKey
from kubiya_workers.contracts.messages import Price, Usage
from kubiya_workers.contracts.usage import UsageBy, UsageSum

from ..store import keys
from ..store import usage as store
from ..store.database import Database

REMEMBER_S = 3.0
"""How long a key without a budget counts as one, so that most calls cost no query."""
MAX_REMEMBERED = 10_000
_PER = {BudgetPeriod.DAY: " a day", BudgetPeriod.MONTH: " a month", BudgetPeriod.EVER: ""}


async def report(
    database: Database,
    by: UsageBy,
    *,
    since: date | None = None,
    until: date | None = None,
    execution_id: str | None = None,
    limit: int,
) -> Sequence[UsageSum]:
    """The days (UTC) are inclusive.

    Raises:
        Invalid: the steps of no execution in particular.
    """
    if by is UsageBy.STEP and execution_id is None:
        raise Invalid("steps are those of one execution", fix="Name it: kubiya usage --execution ID, or execution_id.")
    first, last = since and since.isoformat(), until and until.isoformat()
    async with database.reading() as connection:
        return await store.sums(connection, by, since=first, until=last, execution_id=execution_id, limit=limit)


async def with_spending(connection: AsyncConnection, key: Key) -> ListedKey:
    used = None if key.max_cost_usd is None else await _spent(connection, key)
    return ListedKey(**key.model_dump(), spent_usd=used)


@dataclass
class Budgets:
    """Asked before a key's calls. `clock` is monotonic, in seconds."""

    database: Database
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._free_until: dict[KeyId, float] = {}

    async def check(self, key_id: KeyId | None) -> bool:
        """Whether this key has a budget. Raises `BudgetExhausted` when nothing is left of it."""
        if key_id is None or self._free_until.get(key_id, 0.0) > self.clock():
            return False
        async with self.database.reading() as connection:
            key = await keys.get(connection, key_id)
            spent = 0.0 if key is None or key.max_cost_usd is None else await _spent(connection, key)
        if key is None or key.max_cost_usd is None:
            self._remember(key_id)
            return False
        if spent >= key.max_cost_usd:
            raise BudgetExhausted(
                f"the budget of key {key.name!r} is used up: ${spent:.4f} of ${key.max_cost_usd:g}{_per(key)}",
                fix="An admin can make a key with another budget: kubiya key create NAME --max-cost USD",
            )
        return True

    def _remember(self, key_id: KeyId) -> None:
        if len(self._free_until) >= MAX_REMEMBERED:
            self._free_until.clear()
        self._free_until[key_id] = self.clock() + REMEMBER_S

    async def count(self, caller: Caller, model: str, used: Usage, price: Price | None) -> None:
        """A call that the caller made itself. What workers call is counted with their executions."""
        if caller.worker_id is not None:
            return
        async with self.database.writing() as connection:
            await store.add_call(
                connection, caller.key_id, caller.name, model=model, used=used.priced(price), now=datetime.now(UTC)
            )


def _per(key: Key) -> str:
    return _PER[key.budget_period or BudgetPeriod.MONTH]


async def _spent(connection: AsyncConnection, key: Key) -> float:
    return await store.spent(connection, key.id, _first_day(key.budget_period or BudgetPeriod.MONTH))


def _first_day(period: BudgetPeriod) -> str | None:
    today = datetime.now(UTC).date()
    match period:
        case BudgetPeriod.DAY:
            return today.isoformat()
        case BudgetPeriod.MONTH:
            return today.replace(day=1).isoformat()
        case BudgetPeriod.EVER:
            return None
