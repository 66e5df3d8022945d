"""Sessions that are signed and kept nowhere, and how often somebody may try a key."""

from dataclasses import dataclass, field

import pytest

from kubiya_workers.console.keyed import GOOD_FOR_S, TRIES, TRIES_WITHIN_S, KeySessions, Tries
from kubiya_workers.contracts.errors import TooManyRequests, Unauthorized
from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import Caller, Scope

KEY, KEY_ID = "kbw_a-key", KeyId("11111111-2222-3333-4444-555555555555")
SECRET = "the secret of all control planes"
NOW = 1_000_000.0


@dataclass
class Keys:
    """One key, which can be revoked, and one ticket."""

    caller: Caller | None = field(default_factory=lambda: Caller(key_id=KEY_ID, name="ops", scope=Scope.READ))
    ticket: str | None = "t"

    async def of(self, key: str) -> Caller:
        return self._good() if key == KEY else self._refused()

    async def still(self, key_id: KeyId) -> Caller:
        return self._good() if key_id == KEY_ID else self._refused()

    async def redeem(self, ticket: str) -> KeyId | None:
        found, self.ticket = (KEY_ID, None) if ticket == self.ticket else (None, self.ticket)
        return found

    def _good(self) -> Caller:
        return self.caller or self._refused()

    def _refused(self) -> Caller:
        raise Unauthorized("the key is not known here")


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


async def test_one_control_plane_knows_the_session_that_another_made() -> None:
    one, other = KeySessions(SECRET, Keys()), KeySessions(SECRET, Keys())
    session = await one.sign_in(KEY)
    assert await other.knows(session) and one.cookie == other.cookie
    assert one.csrf(session) == other.csrf(session) and KEY not in session
    guest = await other.guest(session)
    assert (guest.key_name, guest.key_scope) == ("ops", Scope.READ)
    assert await one.sign_in(KEY) != session


async def test_another_installation_does_not() -> None:
    session = await KeySessions(SECRET, Keys()).sign_in(KEY)
    stranger = KeySessions("another secret", Keys())
    assert not await stranger.knows(session) and stranger.cookie != KeySessions(SECRET, Keys()).cookie


async def test_a_session_is_over_after_half_a_day() -> None:
    clock = Clock()
    sessions = KeySessions(SECRET, Keys(), clock)
    session = await sessions.sign_in(KEY)
    clock.now = NOW + GOOD_FOR_S - 1
    assert await sessions.knows(session)
    clock.now = NOW + GOOD_FOR_S
    assert not await sessions.knows(session)


async def test_a_session_ends_with_its_key() -> None:
    keys = Keys()
    sessions = KeySessions(SECRET, keys)
    session = await sessions.sign_in(KEY)
    keys.caller = None
    assert not await sessions.knows(session)


async def test_nothing_of_a_session_can_be_changed() -> None:
    sessions = KeySessions(SECRET, Keys(), Clock())
    session = await sessions.sign_in(KEY)
    key_id, end, nonce, signature = session.split(".")
    changed = (
        f"{key_id}.{int(end) + 1}.{nonce}.{signature}",
        f"{'9' + key_id[1:]}.{end}.{nonce}.{signature}",
        f"{key_id}.{end}.{nonce}x.{signature}",
        f"{key_id}.{end}.{nonce}.{signature[:-1]}",
        f"{key_id}.{end}.{nonce}.{sessions.csrf(session)}",
        *("", ".", "...", "é.1.2.3", f"{key_id}.x.{nonce}.{signature}"),
    )
    for forged in changed:
        assert not await sessions.knows(forged), forged


async def test_a_ticket_lets_one_in() -> None:
    sessions = KeySessions(SECRET, Keys())
    assert await sessions.exchange("x") is None
    session = await sessions.exchange("t")
    assert session is not None and await sessions.knows(session)
    assert await sessions.exchange("t") is None


async def test_a_wrong_key_opens_nothing() -> None:
    with pytest.raises(Unauthorized):
        await KeySessions(SECRET, Keys()).sign_in("kbw_another")


def test_so_many_wrong_keys_and_then_a_pause() -> None:
    clock = Clock()
    tries = Tries(clock)
    for _ in range(TRIES):
        tries.check("192.0.2.1")
        tries.failed("192.0.2.1")
    with pytest.raises(TooManyRequests) as refused:
        tries.check("192.0.2.1")
    assert refused.value.retry_after == TRIES_WITHIN_S
    tries.check("192.0.2.2")
    clock.now += TRIES_WITHIN_S
    tries.check("192.0.2.1")


def test_a_good_key_begins_the_count_anew_and_a_network_counts_as_one() -> None:
    tries = Tries(Clock())
    for turn in range(TRIES):
        tries.failed(f"2001:db8::{turn + 1:x}")
    with pytest.raises(TooManyRequests):
        tries.check("2001:db8::ffff")
    tries.check("2001:db8:0:1::1")
    tries.succeeded("2001:db8::9")
    tries.check("2001:db8::1")


def test_what_is_remembered_of_addresses_has_an_end() -> None:
    tries = Tries(Clock())
    for turn in range(12_000):
        tries.failed(f"10.{turn >> 16}.{turn >> 8 & 255}.{turn & 255}")
    assert len(tries._failed) <= 10_000  # pyright: ignore[reportPrivateUsage]
