"""A certificate authority of a test's own, as a company has one."""

import subprocess
from datetime import datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization


class Authority:
    """`bundle` is what clients are told to trust."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._authority = trustme.CA(organization_name=name)
        self.bundle = directory / f"{name}.pem"
        self._authority.cert_pem.write_to_path(self.bundle)

    @staticmethod
    def encrypt(key: Path) -> None:
        """So that it needs a passphrase."""
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        encryption = serialization.BestAvailableEncryption(b"secret")
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        key.write_bytes(loaded.private_bytes(pem, pkcs8, encryption))

    @property
    def hash(self) -> str:
        """What OpenSSL looks for in a directory, as `openssl rehash` names its links."""
        command = ["openssl", "x509", "-noout", "-hash", "-in", self.bundle]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def issue(
        self,
        *names: str,
        file: str = "server",
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        key_type: trustme.KeyType = trustme.KeyType.ECDSA,
    ) -> tuple[Path, Path]:
        """Files of a certificate for these names and of its key, written anew where they are there."""
        made = self._authority.issue_cert(*names, not_before=not_before, not_after=not_after, key_type=key_type)
        certificate, key = (self._directory / f"{file}.{kind}.pem" for kind in ("cert", "key"))
        for path, content in (
            (key, made.private_key_pem.bytes()),
            (certificate, b"".join(blob.bytes() for blob in made.cert_chain_pems)),
        ):
            path.touch(mode=0o600)
            path.write_bytes(content)
        return certificate, key
