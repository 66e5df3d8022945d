"""TLS towards Temporal: what the SDK is told of certificates, and what it means when it does not like one."""

from pathlib import Path

from temporalio.service import TLSConfig

from kubiya_workers.settings.server import TemporalSettings
from kubiya_workers.settings.source import BadSetting, Source
from kubiya_workers.settings.trust import Trust

_CAUSES = {
    "ConnectionRefused": "the connection was refused",
    "dns error": "the name is not known",
    "UnknownIssuer": "its certificate is not from a trusted authority (TEMPORAL_TLS_CA or SSL_CERT_FILE names one)",
    "NotValidForName": "its certificate bears another name (TEMPORAL_TLS_SERVER_NAME)",
    "certificate: Expired": "its certificate has expired",
    "CertificateRequired": "it asks for a client certificate",
    "InvalidContentType": "it does not speak TLS",
    "invalid target URL": "this is not an address",
}
_LONGEST = 300


def tls_config(settings: TemporalSettings, *, wanted: bool) -> TLSConfig | bool:
    """What the SDK is told; False where TLS is not wanted. The authorities are those of TEMPORAL_TLS_CA, or else those
    that every client of ours trusts.

    Raises:
        BadSetting: a file cannot be read.
    """
    if not wanted:
        return False
    return TLSConfig(
        server_root_ca_cert=_pem(settings.tls_ca or Trust.of(Source.of_process()).file),
        domain=settings.tls_server_name,
        client_cert=_pem(settings.tls_cert),
        client_private_key=_pem(settings.tls_key),
    )


def plainly(text: str) -> str:
    """The native client's words for a connection that cannot be made, in plain ones where their meaning is known."""
    # What follows the first line is the stack of a native library.
    return next((plain for sign, plain in _CAUSES.items() if sign in text), text.partition("\n")[0][:_LONGEST])


def _pem(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise BadSetting(f"the certificate file {path} cannot be read: {error.strerror}") from error
