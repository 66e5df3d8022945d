"""`${NAME}` in a configuration: where the value of one of the execution's variables is to stand.

`$NAME` and `${NAME:-else}` mean the same as in a shell; `$$` is a dollar sign.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, urlsplit

_REFERENCE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<braced>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}|(?P<plain>[A-Za-z_]\w*))"
)
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = frozenset(
    (
        *("key", "apikey", "secret", "token", "password", "passwd", "credential", "credentials", "pat"),
        *("authorization", "auth", "cookie"),
    )
)
_KNOWN_SECRET = re.compile(r"\b(?:sk-|gh[pousr]_|github_pat_|glpat-|xox[abp]-|AKIA)[\w-]{8,}")


class Unset(Exception):
    """There is no variable of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def names(text: str) -> frozenset[str]:
    """The variables that `text` refers to."""
    return frozenset(name for match in _REFERENCE.finditer(text) if (name := match["braced"] or match["plain"]))


def resolved(text: str, variables: Mapping[str, str]) -> str:
    """`text` with the values of its variables.

    Raises:
        Unset: one has none, and no `:-` after it.
    """

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        if name is None:
            return "$"
        found, default = variables.get(name), match["default"]
        if not found and default is not None:
            return default
        if found is None:
            raise Unset(name)
        return found

    return _REFERENCE.sub(value, text)


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name is a secret: API_KEY, X-Api-Key, githubToken; but not TOKEN_FILE."""
    words = [word.lower() for word in _WORDS.findall(name) if not word.isdigit()]
    return bool(words) and words[-1] in _SECRET_WORDS


def is_literal_secret(name: str, value: str) -> bool:
    """Whether a secret stands under this name as it is, and not as a reference."""
    if _KNOWN_SECRET.search(value):
        return True
    literal = not value or names(value)
    return is_secret_name(name) and not literal


def query_of(url: str) -> Iterator[tuple[str, str]]:
    """The names and values of a URL's query."""
    yield from parse_qsl(urlsplit(url).query, keep_blank_values=True)
