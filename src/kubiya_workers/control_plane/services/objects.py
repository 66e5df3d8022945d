"""Bodies too large for a payload, kept by their content: the name of an object is its SHA-256 in hex.

<directory>/ab/abcdef…        complete objects; they are never changed, and dated by when they were last stored
<directory>/.incoming/…       objects on their way in; renamed when they are whole and right
<directory>/.outgoing/…       objects on their way out; renamed back when somebody stored them meanwhile
"""

import asyncio
import hashlib
import math
import os
import re
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime
from pathlib import Path

from kubiya_workers.contracts.errors import Invalid, NotFound, Refusal, TooLarge, Unavailable

MAX_OBJECT = 64 * 1024 * 1024
"""Bytes."""
_WRITE_AT_ONCE = 1024 * 1024

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ObjectStore:
    """A directory of objects, shared by every control plane that mounts it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, data: bytes) -> str:
        """Store a body; its digest."""
        digest = hashlib.sha256(data).hexdigest()
        try:
            await asyncio.to_thread(os.utime, self._path(digest))
        except FileNotFoundError:
            await self.receive(digest, _once(data))
        return digest

    async def get(self, digest: str) -> bytes:
        """The body of a digest. Raises `NotFound`, `Invalid`."""
        return await asyncio.to_thread(self.path(digest).read_bytes)

    def path(self, digest: str) -> Path:
        """The file of an object. Raises `NotFound`; `Invalid` for what is no digest."""
        path = self._path(digest)
        if not path.is_file():
            raise NotFound(f"no object {digest}")
        return path

    async def receive(self, digest: str, chunks: AsyncIterable[bytes]) -> None:
        """Store what arrives, if it is the body of this digest.

        Raises:
            Invalid: it is another body.
            TooLarge: it is over `MAX_OBJECT`.
            Unavailable: it cannot be written.
        """
        target = self._path(digest)
        incoming = await asyncio.to_thread(self._begin)
        try:
            if await _write(incoming, chunks) != digest:
                raise Invalid("the body does not have this SHA-256 digest", fix="Send it again.")
            await asyncio.to_thread(_publish, incoming, target)
        finally:
            incoming.unlink(missing_ok=True)

    def remove_unused(self, before: datetime) -> int:
        """Remove what was last stored before then, and what never came in whole; how many objects there were.

        Raises:
            Unavailable: it cannot be removed.
        """
        limit, removed = before.timestamp(), 0
        try:
            for path in self._directory.glob("*/*"):
                if _stored_at(path) < limit:
                    removed += self._remove(path, limit)
        except OSError as error:
            raise _not_stored(error) from error
        return removed

    def _remove(self, path: Path, limit: float) -> bool:
        """Out of the way first: whoever stores it again in this moment has dated it, or finds none and stores it."""
        outgoing = self._directory / ".outgoing" / path.name
        outgoing.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            path.replace(outgoing)
        except FileNotFoundError:
            return False  # another control plane was faster
        if _stored_at(outgoing) >= limit:
            outgoing.replace(path)
            return False
        outgoing.unlink(missing_ok=True)
        return _DIGEST.fullmatch(path.name) is not None

    def _path(self, digest: str) -> Path:
        if _DIGEST.fullmatch(digest) is None:
            raise Invalid("an object is named by its SHA-256 digest: 64 characters of 0-9a-f")
        return self._directory / digest[:2] / digest

    def _begin(self) -> Path:
        try:
            directory = self._directory / ".incoming"
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=directory)
        except OSError as error:
            raise _not_stored(error) from error
        os.close(handle)
        return Path(name)


async def _write(file: Path, chunks: AsyncIterable[bytes]) -> str:
    """Write the chunks, in pieces large enough to be worth a hop to a thread; the digest of all."""
    sha256, size, pending = hashlib.sha256(), 0, bytearray()
    async for chunk in chunks:
        size += len(chunk)
        if size > MAX_OBJECT:
            raise TooLarge(f"an object has at most {MAX_OBJECT:,} bytes")
        pending += chunk
        if len(pending) >= _WRITE_AT_ONCE:
            sha256.update(pending)
            await asyncio.to_thread(_append, file, bytes(pending))
            pending.clear()
    sha256.update(pending)
    await asyncio.to_thread(_append, file, bytes(pending))
    return sha256.hexdigest()


def _append(file: Path, data: bytes) -> None:
    try:
        with file.open("ab") as stream:
            stream.write(data)
    except OSError as error:
        raise _not_stored(error) from error


def _publish(incoming: Path, target: Path) -> None:
    try:
        with incoming.open("rb") as stream:
            # A name that promises its content must not outlive it in a crash.
            os.fsync(stream.fileno())
        target.parent.mkdir(mode=0o700, exist_ok=True)
        incoming.replace(target)
    except OSError as error:
        raise _not_stored(error) from error


def _stored_at(path: Path) -> float:
    """When it was last stored, in seconds since the epoch; infinity when it is gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def _not_stored(error: OSError) -> Refusal:
    return Unavailable(f"the object store cannot be written: {error.strerror}", fix="Check the disk of the server.")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
