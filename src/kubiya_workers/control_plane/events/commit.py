"""One transaction of the log: the appends that waited, and the chunks whose time has come."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.appends import Appended
from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.contracts.events import Delta, Fact
from kubiya_workers.contracts.ids import ExecutionId

from ..store import events as store
from .journal import Draft, Journal


def _future() -> "asyncio.Future[Appended]":
    return asyncio.get_running_loop().create_future()


@dataclass
class Append:
    """One call of `EventLog.append` that waits for its commit."""

    execution_id: ExecutionId
    events: Sequence[Fact | Delta]
    also: Callable[[AsyncConnection], Awaitable[None]] | None
    is_new: bool = False
    """That `also` inserts the execution: there is nothing of it to be looked for."""
    answer: "asyncio.Future[Appended]" = field(default_factory=_future)

    def refuse(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
            self.answer.exception()  # the caller may be gone: then nobody is to be warned of it

    def accept(self, appended: Appended) -> None:
        if not self.answer.done():
            self.answer.set_result(appended)


class Journals(Protocol):
    async def in_line(self, connection: AsyncConnection, execution_id: ExecutionId, last_seq: int) -> Journal: ...


class Undone(Exception):
    """A transaction holds nothing that may stay."""


class Batch:
    """Stages, then inserts. An append that is refused is answered at once and leaves nothing behind."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals
        self._newest: dict[ExecutionId, int] = {}
        self._accepted: list[tuple[Append, Appended]] = []
        self.drafts: dict[ExecutionId, Draft] = {}

    async def stage(self, connection: AsyncConnection, appends: Sequence[Append], due: Iterable[ExecutionId]) -> None:
        """Raises: Undone: the only append was refused, and answered: nothing of this transaction may stay."""
        due = set(due)
        if ids := due | {append.execution_id for append in appends if not append.is_new}:
            self._newest = await store.last_seqs(connection, ids, lock=True)
        alone = len(appends) == 1 and not due
        for append in appends:
            # One that is alone needs no savepoint: refused, it undoes the transaction.
            apart = nullcontext() if alone or append.also is None else connection.begin_nested()
            await self._stage(connection, append, apart)
        if alone and not self._accepted:
            raise Undone
        for execution_id in due & self._newest.keys():
            (await self._draft(connection, execution_id)).flush()

    async def _stage(
        self, connection: AsyncConnection, append: Append, apart: AbstractAsyncContextManager[object]
    ) -> None:
        try:
            async with apart:
                if append.also is not None:
                    await append.also(connection)
                if append.is_new:
                    self._newest[append.execution_id] = 0
                draft = await self._draft(connection, append.execution_id)
                appended = draft.append(append.events)
        except IntegrityError as error:
            append.refuse(error)
        except SQLAlchemyError:
            raise  # the database's trouble, not this append's: the whole batch is tried again
        except Exception as error:  # whatever `also` raises is its caller's: handed back, and no harm to the others
            append.refuse(error)
        else:
            self._accepted.append((append, appended))

    async def _draft(self, connection: AsyncConnection, execution_id: ExecutionId) -> Draft:
        draft = self.drafts.get(execution_id)
        if draft is None:
            last_seq = self._newest.get(execution_id)
            if last_seq is None:
                raise NotFound(f"no execution {execution_id}", fix="List them with: kubiya execution list")
            draft = Draft(await self._journals.in_line(connection, execution_id, last_seq))
            self.drafts[execution_id] = draft
        return draft

    async def insert(self, connection: AsyncConnection) -> None:
        rows = {execution_id: draft.rows for execution_id, draft in self.drafts.items() if draft.rows}
        if rows:
            await store.insert(connection, rows)
        for execution_id, draft in self.drafts.items():
            if draft.closed:
                await store.prune(connection, execution_id, draft.closed)

    def answer(self) -> None:
        for append, appended in self._accepted:
            append.accept(appended)
