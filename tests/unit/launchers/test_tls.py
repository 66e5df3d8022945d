"""The certificate that a server serves: what is no certificate is said at its start, and a new one is taken up."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from tests.authority import Authority

from kubiya_workers.launchers.serving import tls
from kubiya_workers.launchers.serving.server import Door, served
from kubiya_workers.launchers.serving.tls import Certificate
from kubiya_workers.settings.server import TlsFiles
from kubiya_workers.settings.source import BadSetting, Source

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def of(files: tuple[Path, Path]) -> Certificate:
    return Certificate(TlsFiles(*map(str, files)))


def test_what_it_says_of_itself(authority: Authority) -> None:
    certificate = of(authority.issue("localhost", "*.example", "plane.example", not_after=NOW + timedelta(30)))
    assert certificate.name == "plane.example"
    assert certificate.check().ok
    assert "localhost, *.example, plane.example until " in certificate.check().detail
    assert of(authority.issue("localhost")).name == "localhost"
    assert of(authority.issue("*.example")).name is None


def _no_file(authority: Authority) -> tuple[Path, Path]:
    certificate, key = authority.issue("localhost")
    return certificate.with_name("nowhere.pem"), key


def _other_key(authority: Authority) -> tuple[Path, Path]:
    certificate, _ = authority.issue("localhost")
    return certificate, authority.issue("localhost", file="other")[1]


def _expired(authority: Authority) -> tuple[Path, Path]:
    return authority.issue("localhost", not_before=NOW - timedelta(9), not_after=NOW - timedelta(1))


def _no_certificate(authority: Authority) -> tuple[Path, Path]:
    certificate, key = authority.issue("localhost")
    certificate.write_text("not a certificate")
    return certificate, key


def _encrypted(authority: Authority) -> tuple[Path, Path]:
    certificate, key = authority.issue("localhost", file="encrypted")
    authority.encrypt(key)
    return certificate, key


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_no_file, r"nowhere\.pem cannot be read"),
        (_other_key, r"other\.key\.pem does not belong to the certificate in .*server\.cert\.pem"),
        (_expired, r"server\.cert\.pem: certificate has expired"),
        (_no_certificate, "are not a certificate and its key"),
        (_encrypted, r"encrypted\.key\.pem is encrypted"),
    ],
)
def test_what_clients_would_refuse_is_refused_first(
    make: Callable[[Authority], tuple[Path, Path]], said: str, authority: Authority
) -> None:
    with pytest.raises(BadSetting, match=said):
        of(make(authority))


def test_a_certificate_and_its_key_go_together() -> None:
    assert TlsFiles.of(Source({})) is None
    with pytest.raises(BadSetting, match="KUBIYA_TLS_KEY"):
        TlsFiles.of(Source({"KUBIYA_TLS_CERT": "/a"}))
    assert TlsFiles.of(Source({"KUBIYA_TLS_CERT": "/a"}), key="/b") == TlsFiles("/a", "/b")


def test_a_key_for_everybody_is_told(authority: Authority) -> None:
    files = TlsFiles(*map(str, authority.issue("localhost")))
    assert not files.key_is_open
    Path(files.key).chmod(0o644)
    assert files.key_is_open


async def _app(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"{scope['type']} {scope['scheme']}")(scope, receive, send)


@asynccontextmanager
async def serving(certificate: Certificate) -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    keeping = asyncio.create_task(certificate.keep())
    async with served(_app, Door(listener, certificate.context), before_stop=lambda: None):
        yield listener.getsockname()[1]
    keeping.cancel()
    listener.close()


async def shown(port: int, authority: Authority, *, most: ssl.TLSVersion | None = None) -> tuple[str, str]:
    """The name in the certificate that a new connection is shown, and the answer to a request on it."""
    context = ssl.create_default_context(cafile=authority.bundle)
    context.check_hostname = False
    if most is not None:
        context.maximum_version = most
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        body = (await reader.read()).decode().rpartition("\r\n\r\n")[2]
        return writer.get_extra_info("peercert")["subjectAltName"][0][1], body
    finally:
        writer.close()
        await writer.wait_closed()


async def until_shown(port: int, authority: Authority, name: str) -> None:
    async with asyncio.timeout(20):
        while (await shown(port, authority))[0] != name:
            await asyncio.sleep(0.02)


async def test_new_files_are_served_without_a_restart(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LOOK_S", 0.02)
    certificate = of(authority.issue("first.example", key_type=trustme.KeyType.RSA))
    async with serving(certificate) as port:
        assert await shown(port, authority) == ("first.example", "http https")
        # A key of another kind, too: both would be valid beside each other in one context.
        authority.issue("second.example", key_type=trustme.KeyType.ECDSA)
        await until_shown(port, authority, "second.example")

        authority.issue("late.example", not_before=NOW - timedelta(9), not_after=NOW - timedelta(1))
        await asyncio.sleep(0.1)  # nothing is to happen: it is looked at several times meanwhile
        assert (await shown(port, authority))[0] == "second.example"
        authority.issue("third.example")
        await until_shown(port, authority, "third.example")


async def test_old_versions_of_tls_are_not_spoken(authority: Authority) -> None:
    async with serving(of(authority.issue("localhost"))) as port:
        assert (await shown(port, authority, most=ssl.TLSVersion.TLSv1_2))[1] == "http https"
        with pytest.raises(ssl.SSLError), pytest.warns(DeprecationWarning):
            await shown(port, authority, most=ssl.TLSVersion.TLSv1_1)
