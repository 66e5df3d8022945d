"""One transaction of the log: the appends that waited, and the chunks whose time has come."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
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


class Batch:
    """Stages, then inserts. An append that is refused is answered at once and leaves nothing behind."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals
        self._newest: dict[ExecutionId, int] = {}
        self._accepted: list[tuple[Append, Appended]] = []
        self.drafts: dict[ExecutionId, Draft] = {}

    async def stage(self, connection: AsyncConnection, appends: Sequence[Append], due: Iterable[ExecutionId]) -> None:
        due = set(due)
        ids = due | {append.execution_id for append in appends}
        self._newest = await store.last_seqs(connection, ids, lock=True)
        for append in appends:
            await self._stage(connection, append)
        for execution_id in due & self._newest.keys():
            (await self._draft(connection, execution_id)).flush()

    async def _stage(self, connection: AsyncConnection, append: Append) -> None:
        try:
            if append.also is None:
                appended = await self._add(connection, append)
            else:
                async with connection.begin_nested():
                    await append.also(connection)
                    appended = await self._add(connection, append)
        except IntegrityError as error:
            append.refuse(error)
        except SQLAlchemyError:
            raise  # the database's trouble, not this append's: the whole batch is tried again
        except Exception as error:  # whatever `also` raises is its caller's: handed back, and no harm to the others
            append.refuse(error)
        else:
            self._accepted.append((append, appended))

    async def _add(self, connection: AsyncConnection, append: Append) -> Appended:
        draft = await self._draft(connection, append.execution_id)
        return draft.append(append.events)

    async def _draft(self, connection: AsyncConnection, execution_id: ExecutionId) -> Draft:
        draft = self.drafts.get(execution_id)
        if draft is None:
            last_seq = self._newest.get(execution_id)
            if last_seq is None:  # `also` may just have inserted it
                last_seq = (await store.last_seqs(connection, (execution_id,))).get(execution_id)
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
