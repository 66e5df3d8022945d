"""API keys: made, listed, revoked; and the local user's own one, made on first start."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound, Unavailable
from kubiya_workers.contracts.ids import KeyId, new_id
from kubiya_workers.contracts.keys import BudgetPeriod, CreatedKey, Key, ListedKey, NewKey, Scope
from kubiya_workers.control_plane.auth import Auth, digest, new_key, shown_prefix
from kubiya_workers.control_plane.key_uses import KeyUses
from kubiya_workers.control_plane.store import keys as store
from kubiya_workers.control_plane.store import queues as queue_store
from kubiya_workers.control_plane.store.database import Database
from kubiya_workers.settings.paths import Paths

from . import workers
from .usage import with_spending

LOCAL = "local"
ENVIRONMENT = "environment"


@dataclass(frozen=True)
class FirstKeys:
    """`created` is the new admin key of the local user, to be shown once; None when there is a good one already."""

    created: str | None = field(default=None, repr=False)
    environment_key_revoked: bool = False
    """The key of the server's environment is known and was revoked: it stays so."""


async def list_(database: Database, uses: KeyUses, *, skip: int, limit: int) -> Sequence[ListedKey]:
    """Newest first; revoked ones too."""
    async with database.reading() as connection:
        found = await store.list_(connection, skip=skip, limit=limit)
        return [await with_spending(connection, uses.brought_up_to_date(key)) for key in found]


async def create(database: Database, new: NewKey) -> CreatedKey:
    """The only answer that carries the key.

    Raises:
        Invalid: it would expire in the past, or it is bound to a queue and not of scope worker.
        NotFound: no such queue.
    """
    if new.expires_at is not None and new.expires_at <= datetime.now(UTC):
        raise Invalid("expires_at is in the past")
    if new.max_cost_usd is not None and new.scope is Scope.WORKER:
        raise Invalid("a key with scope worker makes no runs of its own to have a budget for")
    if new.budget_period is not None and new.max_cost_usd is None:
        raise Invalid("a budget's period needs its amount", fix="Say how much: max_cost_usd, --max-cost USD.")
    if new.queue_id is not None and new.scope is not Scope.WORKER:
        raise Invalid("only a key with scope worker can be bound to a queue")
    if new.max_cost_usd is not None and new.budget_period is None:
        new = new.model_copy(update={"budget_period": BudgetPeriod.MONTH})
    secret = new_key()
    async with database.writing() as connection:
        if new.queue_id is not None:
            queue = await queue_store.find(connection, new.queue_id)
            if queue is None:
                raise NotFound(f"no worker queue {new.queue_id!r}")
            # Workers are held against the id: a key that was bound by name would fit no queue.
            new = new.model_copy(update={"queue_id": queue.id})
        key = await _add(connection, new, secret)
    return CreatedKey(**key.model_dump(), key=secret)


async def enroll(database: Database, key: str, *, name: str = "enrolled") -> Key:
    """Accept a key that its user brings, as an admin key; one that is accepted already stays as it is.

    Raises:
        Invalid: it is blank or has blanks in it.
        Conflict: it was revoked.
    """
    async with database.writing() as connection:
        accepted = await _accept(connection, key, name)
    if accepted.revoked_at is not None:
        raise Conflict("this key was revoked", fix="Use another key.")
    return accepted


async def revoke(database: Database, auth: Auth, key_id: KeyId) -> None:
    """End a key, and with it the workers that were registered with it.

    Raises:
        NotFound: no such key.
        Conflict: it is the last admin key, without which nobody could make another.
    """
    async with database.writing() as connection:
        key = await store.get(connection, key_id)
        if key is None:
            raise NotFound(f"no key {key_id}")
        admins = await store.live_admins(connection)
        if [admin.id for admin in admins] == [key_id]:
            raise Conflict("this is the last admin key", fix="Make another admin key first.")
        now = datetime.now(UTC)
        await store.revoke(connection, key_id, now)
        gone = await workers.end_those_of(connection, key_id, now)
    auth.forget(key_id)
    for worker_id in gone:
        auth.forget_worker(worker_id)


async def ensure_admin(database: Database, paths: Paths, accepted_key: str | None) -> FirstKeys:
    """See to it that the local user has a key: the one in `paths.credentials`, made anew where it is lost.

    Whoever may read this machine's database owns it, so a new local key replaces the old one. A PostgreSQL database
    is shared: there the local key is made only while it has no admin key at all. `accepted_key`, where one is given,
    becomes an admin key too.

    Raises:
        Unavailable: the credentials file cannot be written; then no key was made.
    """
    try:
        return await _ensure_admin(database, paths, accepted_key)
    except Conflict:
        # Another control plane starts at the same time and was first with the same key.
        return await _ensure_admin(database, paths, accepted_key)


async def _ensure_admin(database: Database, paths: Paths, accepted_key: str | None) -> FirstKeys:
    async with database.writing() as connection:
        brought = await _accept(connection, accepted_key, ENVIRONMENT) if accepted_key else None
        created = None
        if await _local_key_is_missing(connection, database.dialect, paths.credentials):
            created = await _replace_local_key(connection, paths.credentials)
    return FirstKeys(created, brought is not None and brought.revoked_at is not None)


async def _local_key_is_missing(connection: AsyncConnection, dialect: str, credentials: Path) -> bool:
    if dialect == "postgresql":
        return not await store.live_admins(connection)
    written = _read_key(credentials)
    stored = await store.by_digest(connection, digest(written)) if written else None
    return stored is None or stored.revoked_at is not None


async def _replace_local_key(connection: AsyncConnection, credentials: Path) -> str:
    now = datetime.now(UTC)
    for old in await store.live_admins(connection, LOCAL):
        await store.revoke(connection, old.id, now)
    secret = new_key()
    await _add(connection, NewKey(name=LOCAL, scope=Scope.ADMIN), secret)
    # Before the commit: without the file there must be no key either. A file without its key is replaced next time.
    _write_key(credentials, secret)
    return secret


async def _accept(connection: AsyncConnection, key: str, name: str) -> Key:
    if not key or key != "".join(key.split()):
        raise Invalid("a key is one word without blanks")
    found = await store.by_digest(connection, digest(key))
    return found or await _add(connection, NewKey(name=name, scope=Scope.ADMIN), key)


async def _add(connection: AsyncConnection, new: NewKey, secret: str) -> Key:
    key = Key(id=KeyId(new_id()), prefix=shown_prefix(secret), created_at=datetime.now(UTC), **new.model_dump())
    await store.insert(connection, key, digest(secret))
    return key


def _read_key(credentials: Path) -> str | None:
    try:
        return credentials.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _write_key(credentials: Path, secret: str) -> None:
    """Never readable by others, not even for a moment, and never half-written."""
    incoming = credentials.with_name(f".{credentials.name}.{os.getpid()}")
    try:
        credentials.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        incoming.unlink(missing_ok=True)
        with os.fdopen(os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(secret + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        incoming.replace(credentials)
    except OSError as error:
        raise Unavailable(
            f"the credentials file {credentials} cannot be written: {error.strerror}",
            fix="Make its directory writable for this user, or set KUBIYA_HOME to another place.",
        ) from error
