"""Temporal behind TLS by an authority of a company's own: believed by the same variables as everything else."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.control_plane.engine import connection as control_plane
from kubiya_workers.settings.server import TemporalSettings
from kubiya_workers.settings.source import BadSetting
from kubiya_workers.worker import connection as worker
from tests.authority import Authority
from tests.forwarding import connected, copied
from tests.loopback import listening

from .conftest import registered

pytestmark = pytest.mark.usefixtures("client")  # which waits until the server is well

Connect = Callable[[str, TemporalSettings], Awaitable[None]]


@asynccontextmanager
async def behind_tls(temporal: str, certificate: tuple[Path, Path]) -> AsyncIterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(["h2"])

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = temporal.partition(":")
        there_reader, there = await connected(host, int(port))
        try:
            await asyncio.gather(copied(reader, there), copied(there_reader, writer), return_exceptions=True)
        finally:
            for end in (writer, there):
                end.transport.abort()

    async with listening(passed, tls=context) as port:
        yield f"localhost:{port}"


async def as_worker(address: str, settings: TemporalSettings) -> None:
    told = registered(address).model_copy(update={"temporal_tls": True})
    await worker.connect(told, settings, pydantic_data_converter, identity="w")


async def as_control_plane(address: str, settings: TemporalSettings) -> None:
    await control_plane.connect(replace(settings, host=address, tls=True), pydantic_data_converter)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBIYA_HOME", str(tmp_path))
    return Authority(tmp_path)


@pytest.mark.parametrize("connect", [as_worker, as_control_plane])
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", None])
async def test_the_authority_is_believed(
    connect: Connect, variable: str | None, authority: Authority, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = TemporalSettings(tls_ca=str(authority.bundle) if variable is None else None)
    if variable is not None:
        monkeypatch.setenv(variable, str(authority.bundle))
    async with behind_tls(temporal_address, authority.issue("localhost")) as address:
        await connect(address, own)


@pytest.mark.parametrize("connect", [as_worker, as_control_plane])
async def test_others_are_not_and_it_is_said(
    connect: Connect, authority: Authority, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    async with behind_tls(temporal_address, authority.issue("temporal.example")) as address:
        with pytest.raises(Unavailable, match="bears another name"):
            await connect(address, TemporalSettings())
    monkeypatch.delenv("SSL_CERT_FILE")
    async with behind_tls(temporal_address, authority.issue("localhost")) as address:
        with pytest.raises(Unavailable, match="not from a trusted authority"):
            await connect(address, TemporalSettings())
    with pytest.raises(BadSetting, match=r"/nowhere\.pem cannot be read"):
        await connect("localhost:1", TemporalSettings(tls_ca="/nowhere.pem"))
