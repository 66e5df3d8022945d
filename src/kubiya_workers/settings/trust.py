"""Which certificate authorities are trusted, as OpenSSL's variables and those of most Python programs say it."""

import os
from dataclasses import dataclass

from . import variables as v
from .source import BadSetting, Source


@dataclass(frozen=True)
class Trust:
    """Those in `file` (PEM) and `directory` (as `openssl rehash` makes it); with neither, the system's.

    `directory` may be several, separated as in PATH.
    """

    file: str | None = None
    directory: str | None = None

    @classmethod
    def of(cls, source: Source) -> "Trust":
        """What is named is trusted instead of the system's authorities, not beside them.

        Raises:
            BadSetting: what is named is not there.
        """
        file, directory = source.get(v.SSL_CERT_FILE), source.get(v.SSL_CERT_DIR)
        if not file and not directory:
            bundle = source.get(v.REQUESTS_CA_BUNDLE)
            file, directory = ("", bundle) if os.path.isdir(bundle) else (bundle, "")
        if file and not os.path.isfile(file):
            name = (v.SSL_CERT_FILE if source.get(v.SSL_CERT_FILE) else v.REQUESTS_CA_BUNDLE).name
            raise BadSetting(f"{name}={file!r} is not a file; it names the certificate authorities to trust")
        if directory and not any(map(os.path.isdir, directory.split(os.pathsep))):
            raise BadSetting(f"{v.SSL_CERT_DIR.name}={directory!r} is not a directory of certificate authorities")
        return cls(file or None, directory or None)
