"""Whether a server is who it says it is: which authorities vouch for it, and what is wrong when none does."""

import functools
import ssl
from dataclasses import dataclass

import httpx

from kubiya_workers.settings.source import BadSetting, Source
from kubiya_workers.settings.trust import Trust

# Names of OpenSSL's x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME = (62, 64)
_UNKNOWN_AUTHORITY = (2, 18, 19, 20, 21)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")

_TRUST_IT = "Name its authority (PEM) in SSL_CERT_FILE, or have it in the system's store."


@dataclass(frozen=True)
class Distrust:
    """Why a server's certificate is not accepted, in words that follow its name, and what to do."""

    reason: str
    fix: str


def tls() -> ssl.SSLContext:
    """What every client of ours speaks TLS with. Made once a process: it reads some hundred certificates.

    Raises:
        BadSetting: the authorities that a variable names cannot be read.
    """
    return _context(Trust.of(Source.of_process()))


def verify(*urls: str) -> ssl.SSLContext | bool:
    """What an HTTP client of these addresses takes as `verify`: nothing is loaded where none of them speaks TLS.

    Raises:
        BadSetting: as `tls`.
    """
    return False if all(url.lower().startswith("http://") for url in urls) else tls()


@functools.cache
def _context(trust: Trust) -> ssl.SSLContext:
    if trust == Trust():
        # Those that come with the product and the system's: one of a company is mostly only among the latter.
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context
    try:
        context = ssl.create_default_context(cafile=trust.file, capath=trust.directory)
    except (OSError, ssl.SSLError) as error:
        raise BadSetting(f"{trust.file} does not hold certificate authorities (PEM): {error}") from None
    # A server's own certificate may be named too: then it alone is trusted.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def distrust(error: BaseException) -> Distrust | None:
    """What TLS had against a server, if that is what the error comes from."""
    match _cause(error):
        case ssl.SSLCertVerificationError() as refused:
            return _of_certificate(refused)
        case ssl.SSLError() as failed if failed.reason in _NO_TLS:
            return Distrust("it does not speak TLS", "Use an http:// address, or the port that speaks TLS.")
        case ssl.SSLError() as failed:
            return Distrust(f"TLS failed: {failed.reason or failed}", "Check that the address is the right server's.")
        case _:
            return None


def _of_certificate(refused: ssl.SSLCertVerificationError) -> Distrust:
    match refused.verify_code:
        case code if code in _UNKNOWN_AUTHORITY:
            return Distrust("its certificate is from an authority that is not trusted here", _TRUST_IT)
        case code if code in _OTHER_NAME:
            return Distrust("its certificate bears another name", "Use the name that the certificate was made for.")
        case code if code == _EXPIRED:
            return Distrust("its certificate has expired", "Renew it there; if it is new, check this machine's clock.")
        case code if code == _NOT_YET_VALID:
            return Distrust("its certificate is not valid yet", "Check the clocks of both machines.")
        case _:
            return Distrust(f"its certificate is refused: {refused.verify_message}", _TRUST_IT)


def _cause(error: BaseException) -> ssl.SSLError | None:
    """The error of TLS behind those that only tell that connecting failed."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, ssl.SSLError):
            return at
        at = at.__cause__ or at.__context__
    return None
