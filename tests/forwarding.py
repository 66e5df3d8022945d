"""Servers of a test that take bytes elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.loopback import listening


@dataclass
class Tunnel:
    """A proxy for CONNECT which takes whatever name it is asked for to one address."""

    target: str
    address: str = ""
    asked: list[str] = field(default_factory=list[str])

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            self.asked += (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            host, _, port = self.target.partition(":")
            there_reader, there = await connected(host, int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(copied(reader, there), copied(there_reader, writer))
        except OSError:
            pass  # one side has gone
        finally:
            for end in filter(None, (writer, there)):
                end.transport.abort()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Tunnel"]:
        async with listening(self._pass) as port:
            self.address = f"127.0.0.1:{port}"
            yield self


async def connected(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The server of these tests may still be starting."""
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                return await asyncio.open_connection(host, port)
            await asyncio.sleep(0.05)


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
    writer.close()
