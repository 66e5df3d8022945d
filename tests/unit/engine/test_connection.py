"""A Temporal that cannot be used is refused within seconds, with the reason and the next step."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.loopback import listening
from tests.ports import free_port

from kubiya_workers.client.payloads import data_converter
from kubiya_workers.contracts.errors import NotFound, Refusal, Unauthorized, Unavailable
from kubiya_workers.control_plane.engine import connection
from kubiya_workers.control_plane.engine.connection import connect
from kubiya_workers.settings.server import TemporalSettings
from kubiya_workers.settings.source import BadSetting

from .test_temporal import MemoryObjects

KEY = "tmprl-secret-key"
_FRAME_HEADERS, _FRAME_SETTINGS, _END = 1, 4, 5


def _literal(name: str, value: str) -> bytes:
    """One header as HPACK writes it without any table."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


@asynccontextmanager
async def grpc_that_answers(status: int, message: str) -> AsyncIterator[str]:
    """A gRPC server on loopback that ends every call with one status."""
    refusal = b"\x88" + b"".join(
        _literal(*header)
        for header in (("content-type", "application/grpc"), ("grpc-status", str(status)), ("grpc-message", message))
    )

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_frame(_FRAME_SETTINGS, 0, 0))
        try:
            await reader.readexactly(24)
            while True:
                head = await reader.readexactly(9)
                await reader.readexactly(int.from_bytes(head[:3], "big"))
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
                if kind == _FRAME_SETTINGS and not flags & 1:
                    writer.write(_frame(_FRAME_SETTINGS, 1, 0))
                elif kind == _FRAME_HEADERS:
                    writer.write(_frame(_FRAME_HEADERS, _END, stream, refusal))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone

    async with listening(talk) as port:
        yield f"127.0.0.1:{port}"


async def refused(settings: TemporalSettings) -> Refusal:
    with pytest.raises(Refusal) as raised:
        await asyncio.wait_for(connect(settings, data_converter(MemoryObjects())), 10)
    assert KEY not in raised.value.detail + (raised.value.fix or "")
    return raised.value


@pytest.mark.parametrize("status", [16, 7])
async def test_a_wrong_key_is_unauthorized(status: int) -> None:
    async with grpc_that_answers(status, "bad key") as host:
        refusal = await refused(TemporalSettings(host=host, api_key=KEY))
    assert isinstance(refusal, Unauthorized)
    assert "TEMPORAL_API_KEY" in (refusal.fix or "")


async def test_nobody_there_is_unavailable() -> None:
    refusal = await refused(TemporalSettings(host=f"127.0.0.1:{free_port()}"))
    assert isinstance(refusal, Unavailable)
    assert "refused" in refusal.detail
    assert "TEMPORAL_HOST" in (refusal.fix or "")


async def test_an_unknown_host_is_unavailable() -> None:
    refusal = await refused(TemporalSettings(host="no-such-host.invalid:7233"))
    assert isinstance(refusal, Unavailable)


async def test_what_is_no_address_is_unavailable() -> None:
    assert isinstance(await refused(TemporalSettings(host="not an address")), Unavailable)


async def test_silence_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PROBE_LIMIT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        refusal = await refused(TemporalSettings(host=f"127.0.0.1:{silent.getsockname()[1]}"))
    assert isinstance(refusal, Unavailable)
    assert "no answer" in refusal.detail


@pytest.mark.parametrize("wrong", ["namespace", "tls"])
async def test_a_real_temporal_refuses(wrong: str, own_address: str) -> None:
    settings = TemporalSettings(
        host=own_address, tls=wrong == "tls", namespace="nowhere" if wrong == "namespace" else "default"
    )
    refusal = await refused(settings)
    assert isinstance(refusal, NotFound if wrong == "namespace" else Unavailable)
    assert ("nowhere" if wrong == "namespace" else "with TLS") in refusal.detail


@pytest.fixture
async def own_address(tmp_path: Path) -> AsyncIterator[str]:
    from kubiya_workers.control_plane.engine.embedded import EmbeddedTemporal
    from kubiya_workers.launchers.guard import Guard

    with Guard.start() as guard:
        server = EmbeddedTemporal(
            database=tmp_path / "t.db", log_file=tmp_path / "t.log", port=free_port(), guard=guard
        )
        async with server as address:
            yield address


async def test_an_unreadable_certificate_is_a_bad_setting(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="cannot be read"):
        await connect(
            TemporalSettings(host="127.0.0.1:1", tls=True, tls_ca=str(tmp_path / "none.pem")),
            data_converter(MemoryObjects()),
        )


async def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")
    refusal = await refused(TemporalSettings(host=f"127.0.0.1:{free_port()}", tls=True, tls_ca=str(rubbish)))
    assert isinstance(refusal, Unavailable)
