"""A certificate authority of a test's own, as a company has one."""

from datetime import datetime
from pathlib import Path

import trustme


class Authority:
    """`bundle` is what clients are told to trust."""

    def __init__(self, directory: Path, name: str = "authority") -> None:
        self._directory = directory
        self._authority = trustme.CA(organization_name=name)
        self.bundle = directory / f"{name}.pem"
        self._authority.cert_pem.write_to_path(self.bundle)

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
