"""Where a setting's value comes from: a flag, the environment, what was saved, or its default, in this order."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from . import saved as files

T = TypeVar("T")


ENV_FILE = "KUBIYA_ENV_FILE"


class BadSetting(Exception):
    """A value that cannot be used; the message names the setting, the value and what is allowed."""


@dataclass(frozen=True)
class Variable(Generic[T]):
    """One environment variable: its name, what it is for in a sentence, its default and its parser.

    `parse` raises ValueError with what is allowed ("a whole number from 15 to 300").
    """

    name: str
    meaning: str
    default: T
    parse: Callable[[str], T]
    secret: bool = False
    shown_default: str | None = None


@dataclass(frozen=True)
class Source:
    """The environment that a process was started with, and what was saved for all processes of its home.

    What was saved is no part of `environ`, which children inherit: a newer value would not reach them.
    """

    environ: Mapping[str, str]
    saved: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @classmethod
    def of_process(cls) -> "Source":
        """The environment of this process, and what the file that KUBIYA_ENV_FILE names says where it says nothing.

        A file, unlike the environment, is not shown by what shows processes and containers.

        Raises:
            BadSetting: that file cannot be read.
        """
        environ = dict(os.environ)
        if file := environ.get(ENV_FILE, "").strip():
            said = _lines_of(Path(file))
            environ |= {name: value for name, value in said.items() if not environ.get(name, "").strip()}
        return cls(environ, files.read(files.file_of(environ)))

    def with_(self, more: Mapping[str, str]) -> "Source":
        """The same with these variables on top of its environment."""
        return replace(self, environ={**self.environ, **more})

    @property
    def everything(self) -> dict[str, str]:
        """The environment, and what was saved where it says nothing."""
        return {**self.saved, **{name: value for name, value in self.environ.items() if value.strip()}}

    def text_of(self, name: str) -> str:
        """The text in force; empty where nothing is set."""
        return self.environ.get(name, "").strip() or self.saved.get(name, "").strip()

    def get(self, variable: Variable[T], flag: T | None = None) -> T:
        """The value in force.

        Raises:
            BadSetting: the environment's value is out of bounds.
        """
        if flag is not None:
            return flag
        text = self.text_of(variable.name)
        if not text:
            return variable.default
        try:
            return variable.parse(text)
        except ValueError as error:
            shown = "***" if variable.secret else repr(text)
            raise BadSetting(f"{variable.name}={shown} is not valid: it must be {error}") from None

    def first(self, *variables: Variable[str]) -> str | None:
        """The first of these that is set."""
        return next((value for variable in variables if (value := self.get(variable))), None)


def _lines_of(file: Path) -> dict[str, str]:
    """`NAME=value` a line, the value as it stands; blank lines and comments are skipped."""
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(f"{ENV_FILE}={str(file)!r} cannot be read: {error}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, equals, value = line.partition("=")
        if not line or line.startswith("#"):
            continue
        if not equals or not name.strip():
            raise BadSetting(f"line {number} of {file} is not NAME=value")
        found[name.strip()] = value.strip()
    return found


def text(value: str) -> str:
    return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """A parser of whole numbers within bounds."""

    def parse(value: str) -> int:
        problem = f"a whole number from {low} to {high}"
        try:
            number = int(value)
        except ValueError:
            raise ValueError(problem) from None
        if not low <= number <= high:
            raise ValueError(problem)
        return number

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    """A parser of one of several words, in any case; the answer is in the case declared."""

    def parse(value: str) -> str:
        for word in allowed:
            if word.lower() == value.lower():
                return word
        raise ValueError("one of " + ", ".join(allowed))

    return parse


def flag(value: str) -> bool:
    match value.lower():
        case "1" | "true" | "yes" | "on":
            return True
        case "0" | "false" | "no" | "off":
            return False
        case _:
            raise ValueError("true or false")


def url(value: str) -> str:
    """An HTTP address; trailing slashes are dropped, so that paths can be appended."""
    if not value.startswith(("http://", "https://")) or len(value.split("://", 1)[1].strip("/")) == 0:
        raise ValueError("an address that begins with http:// or https://")
    return value.rstrip("/")


def proxy(value: str) -> str:
    """The address of a proxy; with credentials where it wants them."""
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its port is no number
        fine = False
    if fine:
        return value.rstrip("/")
    raise ValueError("the address of a proxy, such as http://proxy:3128 or http://user:password@proxy:3128")


def address(value: str) -> str:
    """`host:port`; an IPv6 host stands in brackets."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError("host:port, such as 127.0.0.1:8080")
    return value
