"""HTTP against real servers on loopback; names are made to resolve as a test needs."""

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.loopback import listening

from kubiya_workers.contracts.tools import ToolResult, ToolStatus
from kubiya_workers.worker.tools import addresses
from kubiya_workers.worker.tools.addresses import Reach
from kubiya_workers.worker.tools.call import Denied

from .conftest import Use

METADATA = "169.254.169.254"


class Server:
    """Answers each path with raw bytes, and records what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(
                (int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0
            )
            self.requests.append(head + (await reader.readexactly(length)).decode())
            writer.write(self.answers.get(head.split(" ")[1], answer("404 Not Found")))
            await writer.drain()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


def answer(status: str = "200 OK", body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    async with listening(server.serve) as server.port:
        yield server


@pytest.fixture
def request_(use: Use) -> Use:
    async def send(url: str, config: dict[str, Any] | None = None, **others: Any) -> ToolResult:
        return await use("http", "http_request", {"url": url, **others}, config)

    return send


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Names that resolve to given addresses, one list after the other, the last for ever."""

    def names(**hosts: list[list[str]]) -> None:
        real = socket.getaddrinfo

        def lookup(host: Any, port: Any, *more: Any, **others: Any) -> Any:
            answers = hosts.get(str(host).replace(".", "_"))
            if not answers:
                return real(host, port, *more, **others)
            found = answers.pop(0) if len(answers) > 1 else answers[0]
            return [entry for address in found for entry in real(address, port, *more, **others)]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)

    return names


async def test_a_get_gives_status_headers_and_body(server: Server, request_: Use) -> None:
    server.answers["/a?b=c"] = answer(body="héllo".encode(), Content_Type="text/plain; charset=utf-8", X_Thing="7")
    result = await request_(server.url("/a?b=c"), headers={"X-Asked": "yes"})
    assert result.status is ToolStatus.SUCCESS
    assert result.content.startswith("HTTP 200 OK\n") and result.content.endswith("\n\nhéllo")
    assert result.output["headers"]["x-thing"] == "7" and result.output["body"] == "héllo"
    asked = server.requests[0].lower()
    assert "x-asked: yes" in asked and f"host: 127.0.0.1:{server.port}" in asked
    assert "idempotency-key" not in asked


async def test_a_post_sends_its_body_and_the_idempotency_key(server: Server, request_: Use) -> None:
    server.answers["/"] = answer("201 Created")
    result = await request_(server.url(), method="POST", json={"a": [1]})
    assert result.status is ToolStatus.SUCCESS
    head, _, body = server.requests[0].partition("\r\n\r\n")
    assert json.loads(body) == {"a": [1]}
    assert "idempotency-key: key-1" in head.lower() and "content-type: application/json" in head.lower()


async def test_an_error_status_is_a_failed_tool(server: Server, request_: Use) -> None:
    result = await request_(server.url("/none"))
    assert (result.status, result.error) == (ToolStatus.FAILED, "HTTP 404")


async def test_methods_that_are_not_configured_are_no_arguments(server: Server, request_: Use) -> None:
    server.answers["/"] = answer()
    assert "$.method" in (await request_(server.url(), method="DELETE")).content
    assert server.requests == []
    assert (await request_(server.url(), {"methods": ["DELETE"]}, method="DELETE")).status is ToolStatus.SUCCESS


@pytest.mark.parametrize(
    "host",
    [
        METADATA,
        "[fe80::1]",
        f"[::ffff:{METADATA}]",
        "2852039166",
        "0xa9fea9fe",
        "[fd00:ec2::254]",
        "[64:ff9b::a9fe:a9fe]",
    ],
)
async def test_link_local_and_metadata_addresses_are_refused(request_: Use, host: str) -> None:
    result = await request_(f"http://{host}/latest/meta-data")
    assert result.status is ToolStatus.DENIED and "metadata" in result.content


async def test_a_redirect_to_metadata_is_refused(server: Server, request_: Use) -> None:
    for status in ("301 x", "302 x", "303 x", "307 x", "308 x"):
        server.answers["/"] = answer(status, Location=f"http://{METADATA}/latest")
        result = await request_(server.url())
        assert result.status is ToolStatus.DENIED and METADATA in result.content


async def test_a_name_that_leads_to_metadata_is_refused(request_: Use, resolve: Callable[..., None]) -> None:
    resolve(kind_example=[[METADATA]], mixed_example=[["127.0.0.1", METADATA]])
    for host in ("kind.example", "mixed.example"):
        assert (await request_(f"http://{host}/")).status is ToolStatus.DENIED


async def test_a_name_that_changes_its_mind_is_not_asked_twice(
    server: Server, request_: Use, resolve: Callable[..., None]
) -> None:
    server.answers["/"] = answer(body=b"safe")
    resolve(rebinding_example=[["127.0.0.1"], [METADATA]])
    result = await request_(server.url(host="rebinding.example"))
    assert result.output["body"] == "safe"
    assert f"host: rebinding.example:{server.port}" in server.requests[0].lower()


async def test_the_next_address_is_tried(server: Server, request_: Use, resolve: Callable[..., None]) -> None:
    server.answers["/"] = answer(body=b"second")
    resolve(two_example=[["127.0.0.2", "127.0.0.1"]])
    assert (await request_(server.url(host="two.example"))).output["body"] == "second"


async def test_host_lists_bind_on_every_hop(server: Server, request_: Use, resolve: Callable[..., None]) -> None:
    resolve(good_example=[["127.0.0.1"]], bad_example=[["127.0.0.1"]])
    server.answers["/"] = answer("302 Found", Location=server.url("/landed", "bad.example"))
    server.answers["/landed"] = answer(body=b"landed")
    for config in ({"allow_hosts": ["good.*"]}, {"deny_hosts": ["BAD.example"]}):
        result = await request_(server.url(host="good.example"), config)
        assert result.status is ToolStatus.DENIED and "bad.example" in result.content
    assert not any("/landed" in asked for asked in server.requests)
    assert (await request_(server.url(host="good.example"))).output["body"] == "landed"
    trailing = await request_(server.url(host="bad.example."), {"deny_hosts": ["bad.example"]})
    assert trailing.status is ToolStatus.DENIED
    by_address = await request_(server.url(host="good.example"), {"deny_hosts": ["127.*"]})
    assert by_address.status is ToolStatus.DENIED


async def test_private_addresses_can_be_refused(server: Server, request_: Use) -> None:
    for host in ("127.0.0.1", "localhost", "10.0.0.1", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"):
        assert (await request_(server.url(host=host), {"allow_private": False})).status is ToolStatus.DENIED


async def test_redirects_are_limited_and_change_methods_as_they_should(server: Server, request_: Use) -> None:
    server.answers["/loop"] = answer("302 Found", Location="/loop")
    assert "More than 5 redirects" in (await request_(server.url("/loop"))).content
    server.requests.clear()
    server.answers |= {
        "/see": answer("303 See Other", Location="/end"),
        "/repeat": answer("307 Temporary Redirect", Location="/end"),
        "/end": answer(),
    }
    await request_(server.url("/see"), method="POST", body="x")
    await request_(server.url("/repeat"), method="POST", body="x")
    assert [asked.split(" ")[0] for asked in server.requests] == ["POST", "GET", "POST", "POST"]
    assert server.requests[-1].endswith("\r\n\r\nx") and server.requests[1].endswith("\r\n\r\n")
    refused = await request_(server.url("/see"), {"methods": ["POST"]}, method="POST")
    assert refused.status is ToolStatus.DENIED


async def test_credentials_do_not_follow_to_another_origin(
    server: Server, request_: Use, resolve: Callable[..., None]
) -> None:
    resolve(other_example=[["127.0.0.1"]])
    server.answers["/"] = answer("307 x", Location=server.url("/end", "other.example"))
    server.answers["/same"] = answer("307 x", Location="/end")
    server.answers["/end"] = answer()
    for path in ("/", "/same"):
        await request_(server.url(path), headers={"Authorization": "Bearer secret", "Cookie": "a=b"})
    first, crossed, again, stayed = server.requests
    assert "secret" in first and "secret" in again and "secret" in stayed
    assert "secret" not in crossed and "a=b" not in crossed


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nY: b"},
        {"X": "a\nb"},
        {"X\r\nY": "b"},
        {"X:": "b"},
        {"": "b"},
        {"Host": "x"},
        {"Content-Length": "1"},
    ],
)
async def test_headers_cannot_be_smuggled(server: Server, request_: Use, headers: dict[str, str]) -> None:
    assert (await request_(server.url(), headers=headers)).status is ToolStatus.FAILED
    assert server.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://x/",
        "//x",
        "x",
        "http://",
        "http://[",
        "http://a b/",
        "http://none.invalid/",
        "gopher://x",
    ],
)
async def test_bad_addresses_are_explained(request_: Use, url: str) -> None:
    result = await request_(url)
    assert result.status is ToolStatus.FAILED and result.error


async def test_large_answers_are_cut(server: Server, request_: Use) -> None:
    server.answers["/"] = answer(body=b"x" * 500_000)
    result = await request_(server.url(), {"max_bytes": 10_000, "output_limit": 1000})
    assert result.output["truncated"] and len(result.content) < 2000
    assert "only the first 10000 bytes were read" in result.content


async def test_bodies_that_are_no_text(server: Server, request_: Use) -> None:
    server.answers["/"] = answer(body=b"\x89PNG\0\0")
    assert (await request_(server.url())).output["body"] == "[a binary body of 6 bytes]"
    server.answers["/"] = answer(body=b"a\xffb", Content_Type="text/plain; charset=made-up")
    assert (await request_(server.url())).output["body"] == "a\ufffdb"


async def test_silent_and_broken_servers(request_: Use) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"nonsense\r\n\r\n")

    for serve, limit, said in ((silent, 0.3, "timed out after 0.3 s"), (broken, 10, "could not be reached")):
        async with listening(serve) as port:
            result = await request_(f"http://127.0.0.1:{port}/", {"timeout_s": limit})
        assert result.status is ToolStatus.FAILED and said in result.content
    closed = await request_(f"http://127.0.0.1:{port}/")
    assert closed.status is ToolStatus.FAILED and "could not be reached" in closed.content


async def test_proxies_of_the_environment_are_not_used(
    server: Server, request_: Use, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.answers["/"] = answer(body=b"direct")
    assert (await request_(server.url())).output["body"] == "direct"


@pytest.mark.parametrize("text", ["224.0.0.1", "255.255.255.255", "ff02::1"])
def test_addresses_of_many_hosts_are_refused(text: str) -> None:
    with pytest.raises(Denied):
        Reach((), (), True, True).check_address(text, text)


def test_switches_open_what_they_name() -> None:
    Reach((), (), True, True).check_address(METADATA, METADATA)
    Reach((), (), False, False).check_address("93.184.216.34", "93.184.216.34")
    assert addresses.is_private(ipaddress.ip_address("10.1.2.3"))
