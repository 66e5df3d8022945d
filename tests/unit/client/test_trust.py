"""TLS towards a control plane: whom we believe, and what is said when we do not."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.authority import Authority
from tests.loopback import listening

from kubiya_workers.client.errors import Unreachable
from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.client.trust import verify
from kubiya_workers.settings.source import BadSetting

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")
NOW = datetime.now(UTC)
HEALTH = b'{"status": "healthy", "version": "1", "checks": {}}'


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBIYA_HOME", str(tmp_path / "home"))
    return monkeypatch


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if not (await reader.readline()).startswith(b"GET "):
        writer.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")
        return
    await reader.readuntil(b"\r\n\r\n")
    head = f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(HEALTH)}\r\n\r\n"
    writer.write(head.encode() + HEALTH)
    await writer.drain()


async def ask(certificate: tuple[Path, Path] | None, host: str = "localhost") -> None:
    """One question to a server with this certificate."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    async with listening(_answer, tls=context) as port, ControlPlaneClient(f"https://{host}:{port}", "k") as client:
        await client.health.get()


@contextmanager
def distrusted(detail: str, fix: str) -> Iterator[None]:
    with pytest.raises(Unreachable, match=detail) as refused:
        yield
    assert refused.value.fix is not None
    assert fix in refused.value.fix
    assert "https://localhost:" in refused.value.detail or "https://127.0.0.1:" in refused.value.detail


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_an_authority_of_ones_own(variable: str, authority: Authority, environ: pytest.MonkeyPatch) -> None:
    environ.setenv(variable, str(authority.bundle))
    await ask(authority.issue("localhost"))
    await ask(authority.issue("127.0.0.1"), "127.0.0.1")


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
async def test_a_directory_of_authorities(
    variable: str, authority: Authority, environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    directory = tmp_path / "authorities"
    directory.mkdir()
    (directory / f"{authority.hash}.0").write_bytes(authority.bundle.read_bytes())
    environ.setenv(variable, str(directory))
    await ask(authority.issue("localhost"))


async def test_a_servers_own_certificate_may_be_what_is_trusted(
    authority: Authority, environ: pytest.MonkeyPatch
) -> None:
    certificate, key = authority.issue("localhost")
    environ.setenv("SSL_CERT_FILE", str(certificate))
    await ask((certificate, key))


async def test_another_authority_is_not_trusted(
    authority: Authority, environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with distrusted("from an authority that is not trusted here", "SSL_CERT_FILE"):
        await ask(authority.issue("localhost"))
    environ.setenv("SSL_CERT_FILE", str(Authority(tmp_path, "another").bundle))
    with distrusted("from an authority that is not trusted here", "SSL_CERT_FILE"):
        await ask(authority.issue("localhost"))


async def test_what_is_wrong_with_a_certificate_is_said(authority: Authority, environ: pytest.MonkeyPatch) -> None:
    environ.setenv("SSL_CERT_FILE", str(authority.bundle))
    with distrusted("bears another name", "the name that the certificate was made for"):
        await ask(authority.issue("plane.example"))
    with distrusted("bears another name", "the name"):
        await ask(authority.issue("localhost"), "127.0.0.1")
    with distrusted("has expired", "Renew it"):
        await ask(authority.issue("localhost", not_before=NOW - timedelta(9), not_after=NOW - timedelta(2)))
    with distrusted("is not valid yet", "clocks"):
        await ask(authority.issue("localhost", not_before=NOW + timedelta(2)))
    with distrusted("does not speak TLS", "http://"):
        await ask(None)


@pytest.mark.parametrize("variable", VARIABLES)
async def test_authorities_that_are_not_there_are_a_wrong_setting(
    variable: str, environ: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environ.setenv(variable, str(tmp_path / "nowhere"))
    with pytest.raises(BadSetting, match="nowhere"):
        ControlPlaneClient("https://localhost:1", "k")
    # Where no TLS is spoken it is nobody's business.
    await ControlPlaneClient("http://localhost:1", "k").connection.close()


async def test_a_file_without_authorities_is_a_wrong_setting(environ: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no certificate")
    environ.setenv("SSL_CERT_FILE", str(tmp_path / "notes.txt"))
    with pytest.raises(BadSetting, match=r"notes\.txt"):
        ControlPlaneClient("https://localhost:1", "k")


def test_nothing_is_believed_unseen() -> None:
    assert verify("http://plane.example", "http://127.0.0.1:1") is False
    for address in ("https://plane.example", "HTTPS://plane.example", "plane.example"):
        context = verify("http://plane.example", address)
        assert isinstance(context, ssl.SSLContext)
        assert context.verify_mode is ssl.CERT_REQUIRED
