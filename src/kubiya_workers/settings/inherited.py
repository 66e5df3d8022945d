"""What a child may have of our environment when nobody says more: what a program needs to run, never a key."""

from collections.abc import Mapping

HARMLESS = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL")


def harmless(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in HARMLESS if name in environ}
