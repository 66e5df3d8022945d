"""How values travel through Temporal: JSON of the contract types, and large bodies by reference.

The control plane's engine and every worker use this one converter, so that either reads what the other wrote. A body
over `INLINE_LIMIT` goes to the control plane's object store; Temporal's history holds only its digest.
"""

import dataclasses
import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, Protocol

import httpx
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import (
    DataConverter,
    ExternalStorage,
    StorageDriver,
    StorageDriverClaim,
    StorageDriverRetrieveContext,
    StorageDriverStoreContext,
)
from temporalio.exceptions import ApplicationError

from kubiya_workers.contracts.errors import REFUSALS, NotFound, Unavailable

INLINE_LIMIT: Final = 128 * 1024
"""Bytes; a larger body travels by reference."""
BODY_LIMIT: Final = 64 * 1024 * 1024
"""Bytes; a larger body is refused."""
CACHE_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of bodies that a process keeps, so that a replayed history does not fetch them again."""
STORED_FOR_S: Final = 3600.0
"""How long a body that was stored is taken to be there: bodies that no run needs any more are removed after days."""
TOO_LARGE: Final = "TooLarge"
"""The type of the failure that a body over BODY_LIMIT causes."""

_CLAIM = "sha256"


class Objects(Protocol):
    """A content-addressed store: a body is named by the SHA-256 of its bytes, in hexadecimal."""

    async def put(self, data: bytes) -> str: ...

    async def get(self, digest: str) -> bytes: ...


def data_converter(objects: Objects) -> DataConverter:
    """The converter for clients and workers, with `objects` for what is too large for a history.

    While `objects` does not answer, workflow tasks and activities fail and are tried again by Temporal: no run fails
    for it. A body over BODY_LIMIT raises a non-retryable `ApplicationError` of type TOO_LARGE where it is made.
    """
    storage = ExternalStorage(drivers=[_ByDigest(objects)], payload_size_threshold=INLINE_LIMIT)
    return DataConverter(payload_converter_class=_BoundedConverter, external_storage=storage)


class HttpObjects:
    """The control plane's object store as a worker reaches it; `client` knows the address and the key."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def put(self, data: bytes) -> str:
        """Store a body; its digest.

        Raises:
            Refusal: the control plane does not take it; Unavailable when it does not answer.
        """
        digest = _digest(data)
        await self._exchange("PUT", digest, data)
        return digest

    async def get(self, digest: str) -> bytes:
        """The body of a digest.

        Raises:
            Refusal: NotFound when there is none, Unavailable when the control plane does not answer.
        """
        return await self._exchange("GET", digest, None)

    async def _exchange(self, method: str, digest: str, body: bytes | None) -> bytes:
        try:
            response = await self._client.request(method, f"/api/v1/objects/{digest}", content=body)
        except httpx.TransportError as error:
            raise Unavailable(f"the control plane's object store does not answer: {error}") from error
        if response.is_success:
            return response.content
        kind = REFUSALS.get(response.status_code, Unavailable)
        raise kind(f"the control plane's object store answered {response.status_code} for {method} of {digest[:12]}…")


class _BoundedConverter(PydanticPayloadConverter):
    """Refuses what is too large in the moment it is made: inside the workflow or activity that made it, which then
    fails with a clear reason. Later, when a task is reported, it could only be retried for ever."""

    def to_payloads(self, values: Sequence[Any]) -> list[Payload]:
        payloads = super().to_payloads(values)
        for payload in payloads:
            if len(payload.data) > BODY_LIMIT:
                raise ApplicationError(
                    f"a body of {len(payload.data):,} bytes is over the limit of {BODY_LIMIT:,} bytes",
                    type=TOO_LARGE,
                    non_retryable=True,
                )
        return payloads


class _ByDigest(StorageDriver):
    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._recent = _Recent(CACHE_LIMIT)

    def name(self) -> str:
        return "kubiya-objects"

    def type(self) -> str:
        return "kubiya.objects"

    async def store(self, context: StorageDriverStoreContext, payloads: Sequence[Payload]) -> list[StorageDriverClaim]:
        return [await self._store(payload.SerializeToString()) for payload in payloads]

    async def retrieve(
        self, context: StorageDriverRetrieveContext, claims: Sequence[StorageDriverClaim]
    ) -> list[Payload]:
        return [Payload.FromString(await self._fetch(claim.claim_data[_CLAIM])) for claim in claims]

    async def _store(self, body: bytes) -> StorageDriverClaim:
        digest = _digest(body)
        if not self._recent.is_stored(digest):
            stored = await self._objects.put(body)
            if stored != digest:
                raise Unavailable("the object store holds something else than what was put")
            self._recent.keep(digest, body, stored=True)
        return StorageDriverClaim(claim_data={_CLAIM: digest})

    async def _fetch(self, digest: str) -> bytes:
        body = self._recent.get(digest)
        if body is None:
            body = await self._objects.get(digest)
            if _digest(body) != digest:
                raise NotFound(f"the stored body {digest[:12]}… is damaged")
            self._recent.keep(digest, body)
        return body


@dataclasses.dataclass
class _Recent:
    """Bodies by digest, the least recently used dropped when together they exceed `limit` bytes."""

    limit: int
    size: int = 0
    bodies: OrderedDict[str, bytes] = dataclasses.field(default_factory=OrderedDict[str, bytes])
    stored_at: dict[str, float] = dataclasses.field(default_factory=dict[str, float])

    def is_stored(self, digest: str) -> bool:
        """Whether it was stored so lately that the store has it for any run that begins now."""
        return time.monotonic() - self.stored_at.get(digest, -math.inf) < STORED_FOR_S

    def get(self, digest: str) -> bytes | None:
        body = self.bodies.get(digest)
        if body is not None:
            self.bodies.move_to_end(digest)
        return body

    def keep(self, digest: str, body: bytes, *, stored: bool = False) -> None:
        if len(body) > self.limit:
            return
        if stored:
            self.stored_at[digest] = time.monotonic()
        if digest in self.bodies:
            return
        self.bodies[digest] = body
        self.size += len(body)
        while self.size > self.limit:
            dropped, old = self.bodies.popitem(last=False)
            self.stored_at.pop(dropped, None)
            self.size -= len(old)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
