"""Who is calling: API keys, known by their SHA-256 digest.

A good key is remembered for a few seconds, so that a request costs no query; a key that this process revokes is
forgotten at once, one that another process revokes within `REMEMBER_S`.
"""

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from kubiya_workers.contracts.errors import Forbidden, Unauthorized
from kubiya_workers.contracts.ids import KeyId, WorkerId
from kubiya_workers.contracts.keys import Caller, Key, Scope

from .key_uses import KeyUses
from .store import keys
from .store.database import Database

PREFIX = "kbw_"
REMEMBER_S = 3.0
MAX_REMEMBERED = 10_000

_SCHEMES = ("bearer", "userkey")
_FIX = "Set KUBIYA_API_KEY to a key of this control plane."


def new_key() -> str:
    """A fresh key: 256 random bits behind a prefix that scanners for leaked keys can find."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(key: str) -> str:
    """What is stored of a key. Its 256 random bits make a slow hash pointless."""
    return hashlib.sha256(key.encode()).hexdigest()


def shown_prefix(key: str) -> str:
    """So much of a key that its owner recognises it; nothing of one that may be short."""
    return key[:8] if key.startswith(PREFIX) else "…"


@dataclass(frozen=True)
class _Remembered:
    caller: Caller
    until: float
    expires_at: datetime | None


class Auth:
    """Authenticates requests. `clock` is monotonic, in seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}
        self._lent: dict[str, Caller] = {}
        self.uses = KeyUses(database)

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller behind an `Authorization` header: `Bearer KEY` or `UserKey KEY`.

        Raises:
            Unauthorized: no key, or one that is unknown, expired or revoked.
        """
        if not authorization:
            raise Unauthorized("a key is needed", fix=_FIX)
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() not in _SCHEMES:
            raise Unauthorized("the Authorization header must be 'Bearer KEY' or 'UserKey KEY'", fix=_FIX)
        return await self.authenticate_key(key.strip())

    async def authenticate_key(self, key: str) -> Caller:
        """The caller behind a key.

        Raises:
            Unauthorized: it is unknown, expired or revoked.
        """
        name = digest(key)
        if name in self._lent:
            return self._lent[name]
        return await self._known(name, lambda connection: keys.by_digest(connection, name))

    async def authenticate_id(self, key_id: KeyId) -> Caller:
        """The caller behind a key that was shown before.

        Raises:
            Unauthorized: it has expired or was revoked meanwhile.
        """
        return await self._known(f"id {key_id}", lambda connection: keys.get(connection, key_id))

    @contextmanager
    def lent(self, caller: Caller) -> Generator[str]:
        """A key of this process alone that is good for this caller, and only while the context lasts."""
        key = new_key()
        self._lent[digest(key)] = caller
        try:
            yield key
        finally:
            del self._lent[digest(key)]

    async def _known(self, name: str, find: Callable[[AsyncConnection], Awaitable[Key | None]]) -> Caller:
        now = self._clock()
        known = self._remembered.get(name)
        if known is not None and now < known.until and not _is_over(known.expires_at):
            return self._noted(known.caller)
        async with self._database.reading() as connection:
            stored = await find(connection)
        caller = _caller(stored)
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[name] = _Remembered(caller, now + REMEMBER_S, stored.expires_at if stored else None)
        return self._noted(caller)

    def _noted(self, caller: Caller) -> Caller:
        if caller.worker_id is None:
            self.uses.note(caller.key_id)
        return caller

    def forget(self, key_id: KeyId) -> None:
        """A key was revoked."""
        self._keep(lambda caller: caller.key_id != key_id)

    def forget_worker(self, worker_id: WorkerId) -> None:
        """The tokens of a worker were revoked."""
        self._keep(lambda caller: caller.worker_id != worker_id)

    def _keep(self, wanted: Callable[[Caller], bool]) -> None:
        self._remembered = {name: known for name, known in self._remembered.items() if wanted(known.caller)}


def check_scope(caller: Caller, allowed: frozenset[Scope], *, reads: bool = False) -> None:
    """An admin may do everything; whoever may only read, what a client may where that is `reads`.

    Raises:
        Forbidden: the caller's scope is not one of these.
    """
    if reads and Scope.CLIENT in allowed:
        allowed |= {Scope.READ}
    if caller.scope is not Scope.ADMIN and caller.scope not in allowed:
        raise Forbidden(f"a key with scope {caller.scope} may not do this", fix="Use a key with another scope.")


def check_own_worker(caller: Caller, worker_id: WorkerId) -> None:
    """A worker acts only for itself.

    Raises:
        Forbidden: the caller is not an admin, and not this worker.
    """
    if caller.scope is not Scope.ADMIN and caller.worker_id != worker_id:
        raise Forbidden("a worker may act only for itself")


def _caller(key: Key | None) -> Caller:
    if key is None:
        raise Unauthorized("the key is not known here", fix=_FIX)
    if key.revoked_at is not None:
        raise Unauthorized("the key was revoked", fix=_FIX)
    if _is_over(key.expires_at):
        raise Unauthorized("the key has expired", fix=_FIX)
    return Caller(key_id=key.id, name=key.name, scope=key.scope, worker_id=key.worker_id, queue_id=key.queue_id)


def _is_over(expires_at: datetime | None) -> bool:
    return expires_at is not None and expires_at <= datetime.now(UTC)
