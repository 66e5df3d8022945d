"""Browsers that are let in by a key: what they keep is signed, so that it needs no memory here.

<key id>.<end, seconds since the epoch>.<nonce>.<HMAC-SHA256 of these, under the secret of all control planes>
"""

import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Protocol

from kubiya_workers.contracts.console import Guest
from kubiya_workers.contracts.errors import Forbidden, TooManyRequests, Unauthorized
from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import Caller

from .door import signed

GOOD_FOR_S = 12 * 3600
TRIES, TRIES_WITHIN_S = 10, 60.0
_MOST_ADDRESSES = 10_000


class Keys(Protocol):
    """The keys that let a browser in. Each may raise Unauthorized or Forbidden."""

    async def of(self, key: str) -> Caller:
        """Whoever bears a key."""
        ...

    async def still(self, key_id: KeyId) -> Caller:
        """Whoever bears a key that was shown before."""
        ...

    async def redeem(self, ticket: str) -> KeyId | None:
        """Whose ticket it is, for the first who asks."""
        ...


class KeySessions:
    """The sessions of keys; any control plane with the same `secret` knows them. `clock` is seconds since the epoch."""

    def __init__(self, secret: str, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        # Two installations at one name, on two ports, do not take each other's cookies for theirs.
        self.cookie = f"kubiya_fleet_{signed(secret, 'cookie')[:8]}"
        self._secret = secret
        self._keys = keys
        self._clock = clock

    async def sign_in(self, key: str) -> str:
        """A session for whoever has a key.

        Raises:
            Unauthorized, Forbidden: it is not known, or no person's.
        """
        return self._made((await self._keys.of(key)).key_id)

    async def exchange(self, token: str) -> str | None:
        key_id = await self._keys.redeem(token)
        return None if key_id is None else self._made(key_id)

    async def knows(self, session: str) -> bool:
        try:
            await self.caller(session)
        except (Unauthorized, Forbidden):
            return False
        return True

    async def caller(self, session: str) -> Caller:
        """Who was let in, with what their key may do now.

        Raises:
            Unauthorized: the session was not made here, or is over; or the key has ended.
        """
        said, _, signature = session.rpartition(".")
        if not session.isascii() or not hmac.compare_digest(signature, self._signature(said)):
            raise Unauthorized("this session is not one of ours")
        if self._clock() >= _end(session):
            raise Unauthorized("this session is over")
        return await self._keys.still(KeyId(said.split(".")[0]))

    async def guest(self, session: str) -> Guest:
        """The same, as pages are told.

        Raises:
            Unauthorized: as `caller`.
        """
        caller = await self.caller(session)
        until = datetime.fromtimestamp(_end(session), UTC)
        return Guest(key_name=caller.name, key_scope=caller.scope, until=until)

    def csrf(self, session: str) -> str:
        return signed(self._secret, f"csrf {session}")

    def _made(self, key_id: KeyId) -> str:
        said = f"{key_id}.{int(self._clock()) + GOOD_FOR_S}.{secrets.token_urlsafe(16)}"
        return f"{said}.{self._signature(said)}"

    def _signature(self, said: str) -> str:
        return signed(self._secret, f"session {said}")


def _end(session: str) -> int:
    return int(session.split(".")[1])  # ours: it was signed


class Tries:
    """How often somebody failed to sign in, by where they are. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, deque[float]] = {}

    def check(self, address: str) -> None:
        """
        Raises:
            TooManyRequests: they failed too often of late.
        """
        failed, now = self._failed.get(_place(address), deque[float]()), self._clock()
        while failed and now - failed[0] >= TRIES_WITHIN_S:
            failed.popleft()
        if len(failed) >= TRIES:
            wait = TRIES_WITHIN_S - (now - failed[0])
            raise TooManyRequests(
                f"{TRIES} keys in a row were wrong", fix=f"Try again in {wait:.0f} s.", retry_after=wait
            )

    def failed(self, address: str) -> None:
        place = _place(address)
        if place not in self._failed and len(self._failed) >= _MOST_ADDRESSES:
            del self._failed[next(iter(self._failed))]
        self._failed.setdefault(place, deque(maxlen=TRIES)).append(self._clock())

    def succeeded(self, address: str) -> None:
        self._failed.pop(_place(address), None)


def _place(address: str) -> str:
    """An address, or the network of one of IPv6: whoever has one of those has all of them."""
    try:
        known = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((known, 64), strict=False)) if isinstance(known, IPv6Address) else address
