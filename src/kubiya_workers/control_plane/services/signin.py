"""How browsers are let in: by a key that is typed, or a ticket that a command asked for.

Neither stays here. What a browser keeps is signed with a secret that all control planes of one database share, so that
each of them knows it; it names the key, which is looked up again for every request.
"""

import secrets
from datetime import UTC, datetime, timedelta

from kubiya_workers.contracts.errors import Forbidden
from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import Caller, Scope, Ticket
from kubiya_workers.control_plane.auth import Auth, digest
from kubiya_workers.control_plane.store import tickets
from kubiya_workers.control_plane.store.database import Database

PATH = "/ui/"
TICKET_FOR = timedelta(minutes=10)
SECRET = "web interface"
"""The name of the secret that they are signed with."""


async def give_ticket(database: Database, caller: Caller) -> Ticket:
    """For whoever asks, with whatever their key may do."""
    ticket, now = secrets.token_urlsafe(32), datetime.now(UTC)
    async with database.writing() as connection:
        await tickets.forget(connection, now)
        await tickets.insert(connection, digest(ticket), caller.key_id, now + TICKET_FOR)
    return Ticket(ticket=ticket, path=PATH, expires_at=now + TICKET_FOR)


class Keys:
    """Which keys let a browser in: those of people."""

    def __init__(self, database: Database, auth: Auth) -> None:
        self._database = database
        self._auth = auth

    async def of(self, key: str) -> Caller:
        """Whoever bears a key.

        Raises:
            Unauthorized: it is unknown, expired or revoked.
            Forbidden: it is a worker's.
        """
        return _person(await self._auth.authenticate_key(key))

    async def still(self, key_id: KeyId) -> Caller:
        """Whoever bears a key that was shown before.

        Raises:
            Unauthorized: it has expired or was revoked.
        """
        return _person(await self._auth.authenticate_id(key_id))

    async def redeem(self, ticket: str) -> KeyId | None:
        """Whose ticket it is; None when there is none such, or it was used."""
        async with self._database.writing() as connection:
            return await tickets.take(connection, digest(ticket), datetime.now(UTC))


def _person(caller: Caller) -> Caller:
    if caller.scope is Scope.WORKER:
        raise Forbidden("a key with scope worker opens no pages", fix="Use a key with scope read, client or admin.")
    return caller
