"""How names become parts of an address."""

from urllib.parse import quote


def part(name: str, *, slashes: bool = False) -> str:
    """`name` as one part of a path, so that no name can point at another route; model names keep their slashes."""
    quoted = quote(name, safe="/" if slashes else "")
    # A dot alone would be taken as a step in the path before the control plane ever saw it.
    return quoted.replace(".", "%2E") if not name.strip("./") else quoted
