"""What a started process says to whoever started it, on a pipe of its own."""

import asyncio
import os
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass

_LONGEST = 1024 * 1024
_CHUNK = 64 * 1024


@contextmanager
def opened() -> Generator[tuple[int, int]]:
    """A pipe's reading and writing ends, for a process that is started within: it inherits the writing one.

    That end is closed here afterwards, so that the pipe ends with the process; the reading one only if none started.
    """
    reading, writing = os.pipe()
    try:
        yield reading, writing
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)


@dataclass(frozen=True)
class Pipe:
    """A reading end of ours. Closed by us, it is not held by whoever else still has the writing one.

    A subprocess's `stdout=PIPE` is: until that ends, `Process.wait()` waits for it (CPython 3.11, `_try_finish` of
    `asyncio.base_subprocess`), and its descriptor stays open.
    """

    reader: asyncio.StreamReader
    _transport: asyncio.ReadTransport

    def close(self) -> None:
        self._transport.close()


async def read(descriptor: int, *, limit: int = _LONGEST) -> Pipe:
    """Read from `descriptor`, which is closed with the pipe; no line is longer than `limit` bytes."""
    reader = asyncio.StreamReader(limit=limit)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return Pipe(reader, transport)


async def whole_lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """What comes out of `stream`, cut between lines; one of more than 64 KiB comes in parts, each with an end."""
    rest = b""
    while chunk := await stream.read(_CHUNK):
        whole, end, rest = (rest + chunk).rpartition(b"\n")
        if end:
            yield whole + end
        if len(rest) > _CHUNK:
            yield rest + b"\n"
            rest = b""
    if rest:
        yield rest + b"\n"


async def first_line(descriptor: int, within: float) -> bytes:
    """The first line that comes out of `descriptor`, which is closed then; empty when the other end was closed before.

    Raises:
        TimeoutError: nothing came within so many seconds.
    """
    pipe = await read(descriptor)
    try:
        async with asyncio.timeout(within):
            return await pipe.reader.readline()
    finally:
        pipe.close()
