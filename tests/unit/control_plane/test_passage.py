"""The way of a worker on another host to the embedded Temporal: through the control plane, with its own token alone."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from temporalio.service import HttpConnectProxyConfig
from tests.forwarding import Tunnel
from tests.loopback import listening

from kubiya_workers.contracts.errors import Forbidden, NotFound, Unauthorized, Unavailable
from kubiya_workers.contracts.workers import Registered
from kubiya_workers.control_plane import app, passage
from kubiya_workers.control_plane.deps import TemporalAddress
from kubiya_workers.launchers.serving.server import Door, served
from kubiya_workers.settings.proxies import Proxies
from kubiya_workers.worker.passage import Passage, way_to_temporal

from .conftest import Api

MUCH = bytes(range(256)) * 8192
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()


@asynccontextmanager
async def registered(api: Api, temporal: str, *, tunnel: bool = True) -> AsyncIterator[Registered]:
    """A worker of a control plane that serves on loopback, with its Temporal at this address."""
    plane = replace(api.plane, temporal=TemporalAddress(temporal, tunnel=tunnel))
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with served(app.build(plane), Door(listener), before_stop=lambda: None, websockets=True):
        answer = await api.worker.post("/api/v1/worker-queues/q/start", json={"control_plane_url": url})
        yield Registered.model_validate_json(answer.content)
    listener.close()


async def _asked(through: HttpConnectProxyConfig, password: str | None = None) -> tuple[bytes, Ends]:
    """The status line for a CONNECT with the password that the SDK is given, or another."""
    host, _, port = through.target_host.partition(":")
    assert through.basic_auth is not None
    reader, writer = await asyncio.open_connection(host, int(port))
    credentials = base64.b64encode(":".join((through.basic_auth[0], password or through.basic_auth[1])).encode())
    writer.write(b"CONNECT 127.0.0.1:7233 HTTP/1.1\r\nProxy-Authorization: Basic " + credentials + b"\r\n\r\n")
    return (await reader.readuntil(b"\r\n\r\n")).splitlines()[0], (reader, writer)


async def _ended(ends: Ends) -> bool:
    async with asyncio.timeout(20):
        return await ends[0].read() == b""


async def test_what_goes_in_comes_out_whole(api: Api) -> None:
    async with listening(_echo) as port, registered(api, f"127.0.0.1:{port}") as worker:
        ways = Passage(worker, Proxies())
        await ways.check()
        async with ways.open() as through:
            said, (reader, writer) = await _asked(through)
            assert b" 200 " in said
            writer.write(MUCH)
            async with asyncio.timeout(30):
                assert await reader.readexactly(len(MUCH)) == MUCH
            writer.close()


async def test_others_of_the_workers_machine_do_not_get_through(api: Api) -> None:
    async with (
        listening(_echo) as port,
        registered(api, f"127.0.0.1:{port}") as worker,
        Passage(worker, Proxies()).open() as through,
    ):
        said, ends = await _asked(through, "guessed")
        assert b" 407 " in said
        assert await _ended(ends)
        ends[1].close()


async def test_a_worker_that_was_given_up_is_shown_the_door(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage, "RECHECK_S", 0.02)
    async with listening(_echo) as port, registered(api, f"127.0.0.1:{port}") as worker:
        ways = Passage(worker, Proxies())
        async with ways.open() as through:
            _, ends = await _asked(through)
            leave = f"/api/v1/workers/{worker.worker_id}/disconnect"
            assert (await api.open(worker.worker_token).post(leave, json={"reason": "lost"})).status_code == 204
            assert await _ended(ends)
            ends[1].close()
            said, ends = await _asked(through)
            assert b" 502 " in said
            ends[1].close()
        with pytest.raises(Unauthorized, match=r"through the control plane .* revoked"):
            await ways.check()


async def test_only_a_registered_worker_may(api: Api) -> None:
    async with listening(_echo) as port, registered(api, f"127.0.0.1:{port}") as worker:
        for client in (api.worker, api.client, api.admin):
            key = client.headers["authorization"].removeprefix("Bearer ")
            with pytest.raises(Forbidden, match="only a registered worker"):
                await Passage(worker.model_copy(update={"worker_token": key}), Proxies()).check()
        with pytest.raises(Unauthorized):
            await Passage(worker.model_copy(update={"worker_token": "unknown"}), Proxies()).check()


async def test_what_is_in_the_way_is_said(api: Api) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{nobody.getsockname()[1]}"
        async with registered(api, closed) as worker:
            with pytest.raises(Unavailable, match="Temporal does not answer"):
                await Passage(worker, Proxies()).check()
        with pytest.raises(Unavailable, match="cannot be reached through the control plane at http://127"):
            await Passage(worker.model_copy(update={"control_plane_url": f"http://{closed}"}), Proxies()).check()
    async with registered(api, "temporal.example:7233", tunnel=False) as worker:
        assert worker.temporal_tunnel is False
        with pytest.raises(NotFound, match="reach this Temporal themselves"):
            await Passage(worker, Proxies()).check()


async def test_a_proxy_that_takes_no_websockets_is_told_of(api: Api) -> None:
    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>")
        await writer.drain()

    async with registered(api, "127.0.0.1:1") as worker, listening(proxy) as port:
        behind = worker.model_copy(update={"control_plane_url": f"http://127.0.0.1:{port}"})
        with pytest.raises(Unavailable, match="HTTP 404") as refused:
            await Passage(behind, Proxies()).check()
        assert refused.value.fix is not None
        assert "WebSockets" in refused.value.fix


async def test_on_one_machine_nothing_is_in_between(api: Api) -> None:
    async with registered(api, "127.0.0.1:7233") as worker, way_to_temporal(worker, Proxies()) as through:
        assert through is None


async def test_a_network_with_a_proxy_is_left_by_it(api: Api) -> None:
    async with listening(_echo) as port, registered(api, f"127.0.0.1:{port}") as worker:
        target = worker.control_plane_url.removeprefix("http://")
        async with Tunnel(target).open() as proxy:
            proxies = Proxies(http=f"http://someone:pass%40word@{proxy.address}")
            abroad = worker.model_copy(update={"control_plane_url": "http://plane.example:7466"})
            await Passage(abroad, proxies).check()
    assert "CONNECT plane.example:7466 HTTP/1.1" in proxy.asked
    credentials = base64.b64encode(b"someone:pass@word").decode()
    assert f"Proxy-Authorization: Basic {credentials}" in proxy.asked
