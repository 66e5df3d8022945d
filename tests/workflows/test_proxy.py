"""Temporal behind a proxy that people's networks have: reached through it, and never where it is not wanted."""

import base64

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

from kubiya_workers.settings.proxies import Proxies
from kubiya_workers.settings.server import TemporalSettings
from kubiya_workers.settings.source import BadSetting, Source
from kubiya_workers.worker.connection import connect
from kubiya_workers.worker.passage import way_to_temporal
from tests.forwarding import Tunnel, connected

from .conftest import registered

BEYOND = "temporal.example:7233"


async def poll_through(host: str, **environ: str) -> None:
    settings = TemporalSettings(proxies=Proxies.of(Source(environ)))
    async with way_to_temporal(registered(host), settings.proxies) as through:
        connection = await connect(registered(host), settings, pydantic_data_converter, identity="w", through=through)
        assert await connection.is_polling() is False


@pytest.mark.usefixtures("client")  # which waits until the server is well
async def test_temporal_is_reached_through_the_proxy(temporal_address: str) -> None:
    async with Tunnel(temporal_address).open() as tunnel:
        await poll_through(BEYOND, HTTPS_PROXY=f"http://user:pass%40word@{tunnel.address}")
    assert f"CONNECT {BEYOND} HTTP/1.1" in tunnel.asked
    credentials = base64.b64encode(b"user:pass@word").decode()
    assert any(line.lower() == f"proxy-authorization: basic {credentials}".lower() for line in tunnel.asked)


@pytest.mark.usefixtures("client")
async def test_this_machine_is_not(temporal_address: str) -> None:
    host, _, port = temporal_address.partition(":")
    (await connected(host, int(port)))[1].close()
    async with Tunnel(temporal_address).open() as tunnel:
        await poll_through(temporal_address, HTTPS_PROXY=f"http://{tunnel.address}")
    assert tunnel.asked == []


def test_which_proxy_is_meant() -> None:
    environ = {"HTTP_PROXY": "http://one:1", "all_proxy": "http://two:2", "NO_PROXY": "10.0.0.5,.inside"}
    both = Proxies.of(Source(environ))
    plain, secure = both.towards("far.example", secure=False), both.towards("far.example")
    assert plain is not None
    assert secure is not None
    assert (plain.address, secure.address) == ("one:1", "two:2")
    assert both.towards("a.inside") is None
    assert both.towards("10.0.0.5") is None
    assert both.towards("localhost") is None
    assert both.towards("::1") is None
    assert "pass" not in repr(Proxies.of(Source({"HTTPS_PROXY": "http://user:pass@host:1"})))


@pytest.mark.parametrize("value", ["squid:1080", "socks5://squid", "http://:1080", "http://squid:port"])
def test_what_is_no_proxy(value: str) -> None:
    with pytest.raises(BadSetting, match="HTTPS_PROXY") as refused:
        Proxies.of(Source({"HTTPS_PROXY": value}))
    assert "such as http://proxy:3128" in str(refused.value)
    assert value not in str(refused.value)
