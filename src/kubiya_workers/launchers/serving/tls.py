"""The certificate of an HTTP server: checked before anything listens, and taken up anew when its files change."""

import asyncio
import os
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from kubiya_workers.contracts.health import Check
from kubiya_workers.observability import logs
from kubiya_workers.settings.proxies import is_loopback
from kubiya_workers.settings.server import TlsFiles
from kubiya_workers.settings.source import BadSetting

LOOK_S = 5.0
"""How often the files are looked at: so long a new certificate may wait."""
_SOON = timedelta(days=14)
_LEAF = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_HANDSHAKE_TURNS = 4

log = logs.get(__name__)


@dataclass(frozen=True)
class _Loaded:
    """One version of the files. `names` are those that clients may use, `seen` tells it from the next version."""

    context: ssl.SSLContext
    names: tuple[str, ...]
    until: datetime
    seen: tuple[int, ...]


class Certificate:
    """A certificate and its key, for as long as a server serves them.

    Raises, when it is made:
        BadSetting: a file cannot be read, or clients would not accept what is in them; it names the file.
    """

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._now = _load(files)
        self._refused: tuple[int, ...] = ()
        self._said = datetime.min.replace(tzinfo=UTC)
        # A context keeps one certificate for each kind of key: a new one of another kind would only be added to it.
        # So each handshake is given the context of the newest.
        self.context = _context(files)
        self.context.sni_callback = self._newest
        self._say()

    @property
    def name(self) -> str | None:
        """A name that clients can use, one for other machines first; None where there are only patterns."""
        plain = [name for name in self._now.names if "*" not in name]
        return next((name for name in plain if not is_loopback(name)), plain[0] if plain else None)

    def check(self) -> Check:
        """How it stands, for people: bad once it has expired."""
        until = f"{self._now.until:%Y-%m-%d %H:%M} UTC"
        ok = self._now.until > datetime.now(UTC)
        names = ", ".join(self._now.names)
        return Check(ok=ok, detail=f"certificate of {names} {'until' if ok else 'expired'} {until}")

    async def keep(self) -> None:
        """Look at the files for ever, and serve what is new in them. What is broken is told once, and not served."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self._look)

    def _look(self) -> None:
        seen = _seen(self._files)
        if seen in (self._now.seen, self._refused):
            if datetime.now(UTC) - self._said > timedelta(days=1):
                self._say()
            return
        try:
            self._now = _load(self._files)
        except BadSetting as error:
            self._refused = seen  # the other of the two files may still be on its way
            log.error("The new certificate is not served, the old one still is", reason=str(error))
        else:
            log.info("A new certificate is served", names=", ".join(self._now.names))
            self._say()

    def _newest(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._now.context

    def _say(self) -> None:
        """What people should see to; again each day."""
        self._said = datetime.now(UTC)
        if self._now.until - datetime.now(UTC) < _SOON:
            log.warning("The certificate expires soon", until=f"{self._now.until:%Y-%m-%d %H:%M} UTC")
        if self._files.key_is_open:
            log.warning("The certificate's key can be read by every user of this machine", file=self._files.key)


def _seen(files: TlsFiles) -> tuple[int, ...]:
    """Which version of the files is there, links followed."""
    found: list[int] = []
    for path in (files.certificate, files.key):
        with suppress(OSError):
            stat = os.stat(path)
            found += [stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns]
    return tuple(found)


def _load(files: TlsFiles) -> _Loaded:
    seen = _seen(files)
    context = _context(files)
    try:
        shown = _shown_to_clients(context, files.certificate)
    except ssl.SSLError as error:
        reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
        raise BadSetting(f"clients will refuse the certificate in {files.certificate}: {reason}") from None
    names = tuple(str(value) for kind, value in shown.get("subjectAltName", ()) if kind in ("DNS", "IP Address"))
    if not names:
        raise BadSetting(
            f"the certificate in {files.certificate} bears no name in subjectAltName, which is where clients look"
        )
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)
    return _Loaded(context, names, until, seen)


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for path in (files.certificate, files.key):
        _read(path)  # for the words: what loads them does not say which it could not read

    def no_passphrase() -> str:
        raise BadSetting(f"the key in {files.key} is encrypted; give one that needs no passphrase")

    try:
        context.load_cert_chain(files.certificate, files.key, no_passphrase)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            what = f"the key in {files.key} does not belong to the certificate in {files.certificate}"
        else:
            what = f"{files.certificate} and {files.key} are not a certificate and its key (PEM)"
        raise BadSetting(f"{what}; see --tls-cert and --tls-key ({error.reason or error})") from None
    return context


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}; see --tls-cert and --tls-key") from None


def _shown_to_clients(context: ssl.SSLContext, certificate: str) -> dict[str, Any]:
    """What a client that trusts it learns of the certificate, and so whether one can: a handshake in memory.

    The standard library reads certificates in no other way.
    """
    leaf = _LEAF.search(_read(certificate))
    if leaf is None:
        raise BadSetting(f"{certificate} does not begin its certificate with the usual line (BEGIN CERTIFICATE)")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=leaf.group())
    inwards, outwards = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(outwards, inwards), context.wrap_bio(inwards, outwards, server_side=True))
    for _ in range(_HANDSHAKE_TURNS):
        for end in ends:
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return cast("dict[str, Any]", ends[0].getpeercert() or {})
