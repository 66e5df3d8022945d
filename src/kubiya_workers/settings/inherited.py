"""What a child may have of our environment when nobody says more: what a program needs to run, and which certificate
authorities it is to trust; never a key."""

from collections.abc import Mapping

from . import variables as v

HARMLESS = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL"),
    *(variable.name for variable in (v.SSL_CERT_FILE, v.SSL_CERT_DIR, v.REQUESTS_CA_BUNDLE)),
)


def harmless(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in HARMLESS if name in environ}
