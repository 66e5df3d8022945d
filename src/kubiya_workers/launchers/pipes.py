"""What a started process says to whoever started it, on a pipe of its own."""

import asyncio
import os

_LONGEST = 1024 * 1024


async def first_line(descriptor: int, within: float) -> bytes:
    """The first line that comes out of `descriptor`, which is closed then; empty when the other end was closed before.

    Raises:
        TimeoutError: nothing came within so many seconds.
    """
    reader = asyncio.StreamReader(limit=_LONGEST)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        async with asyncio.timeout(within):
            return await reader.readline()
    finally:
        transport.close()
