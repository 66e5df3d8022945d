"""Allow and deny lists of programs that bind: no shell, one program, looked up and checked as what it really is."""

import fnmatch
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .call import Denied, ToolFault

_OPERATORS = frozenset("|&;<>()\n`")
_EXPANSIONS = frozenset("*?[")
_RUN_OTHERS = (
    *("sh", "ash", "bash", "dash", "fish", "ksh", "zsh", "csh", "tcsh", "busybox", "toybox", "env", "xargs", "find"),
    *("nice", "ionice", "nohup", "setsid", "stdbuf", "time", "timeout", "watch", "script", "expect", "parallel"),
    *("sudo", "su", "doas", "chroot", "unshare", "nsenter", "runuser", "setpriv", "systemd-run", "strace", "gdb"),
    *(
        "python*",
        "perl*",
        "ruby*",
        "node*",
        "php*",
        "lua*",
        "awk",
        "gawk",
        "mawk",
        "nawk",
        "tclsh*",
        "ed",
        "vi",
        "vim*",
    ),
    *("make", "gmake", "git", "ssh", "ld.so", "ld-linux*", "ld-musl*", "tar", "sed", "emacs*", "less", "more", "man"),
)
"""Programs that start any other program they are told to: a deny list without them would only look like one."""


@dataclass(frozen=True)
class Program:
    """What is executed: the real file, and the words it is started with."""

    path: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Lists:
    """Programs by name or pattern. A plain name means the program that PATH has under it, wherever links lead;
    a pattern with a slash is matched against real paths."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    @property
    def bind(self) -> bool:
        return bool(self.allow or self.deny)

    def admit(self, command: str, environment: Mapping[str, str]) -> Program:
        """The one program that `command` asks for.

        Raises:
            Denied: it needs a shell, or the lists forbid it.
            ToolFault: there is no such program.
        """
        words = _words(command)
        search = _search_path(environment)
        found = shutil.which(words[0], path=search)
        if found is None or ("/" in words[0] and not os.path.isabs(words[0])):
            raise ToolFault(f"There is no program {words[0]!r} on the PATH. {self.advice()}")
        real = os.path.realpath(found)
        if self._denied(words[0], real, search) or not self._allowed(real, search):
            raise Denied(f"{words[0]!r} ({real}) may not be run here. {self.advice()}")
        return Program(real, words)

    def advice(self) -> str:
        allowed = f"Allowed: {', '.join(self.allow)}." if self.allow else ""
        denied = f"Not allowed: {', '.join(self.deny)}, and programs that run others." if self.deny else ""
        return " ".join(part for part in (allowed, denied) if part)

    def _allowed(self, real: str, search: str) -> bool:
        return not self.allow or any(_names(pattern, real, search) for pattern in self.allow)

    def _denied(self, typed: str, real: str, search: str) -> bool:
        names = {os.path.basename(typed), os.path.basename(real)}
        forbidden = self.deny if self.allow or not self.deny else (*self.deny, *_RUN_OTHERS)
        return any(
            _names(pattern, real, search) or any(fnmatch.fnmatchcase(name, pattern) for name in names)
            for pattern in forbidden
        ) or (not self.allow and not _is_installed(real, search))


def _names(pattern: str, real: str, search: str) -> bool:
    """Whether `pattern` means the program at `real`."""
    if "/" in pattern:
        return fnmatch.fnmatchcase(real, pattern) or os.path.realpath(pattern) == real
    if any(sign in pattern for sign in "*?["):
        return fnmatch.fnmatchcase(os.path.basename(real), pattern) and _is_installed(real, search)
    found = shutil.which(pattern, path=search)
    return found is not None and os.path.realpath(found) == real


def _is_installed(real: str, search: str) -> bool:
    """Whether PATH leads to it: a file that the model has just written and named like a program does not count."""
    directories = {os.path.realpath(directory) for directory in search.split(os.pathsep)}
    return os.path.dirname(real) in directories or any(
        os.path.realpath(os.path.join(directory, os.path.basename(real))) == real for directory in directories
    )


def _search_path(environment: Mapping[str, str]) -> str:
    """PATH without entries that depend on the current directory."""
    entries = environment.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if Path(entry).is_absolute())


def _words(command: str) -> tuple[str, ...]:
    needs = _shell_syntax(command)
    if needs is not None:
        raise Denied(
            f"There is no shell here, because the programs that may run are limited: {needs} does not work. "
            "Run one program with plain arguments; put quotes around characters that are meant literally."
        )
    try:
        words: Sequence[str] = shlex.split(command)
    except ValueError as error:
        raise ToolFault(f"The command cannot be split into words: {error}.") from None
    if not words:
        raise ToolFault("The command is empty.")
    return tuple(words)


def _shell_syntax(command: str) -> str | None:
    """The first thing in `command` that only a shell would understand."""
    quote, index = "", 0
    while index < len(command):
        sign, index = command[index], index + 1
        if sign == "\\" and quote != "'":
            index += 1
        elif quote:
            quote = "" if sign == quote else quote
            if quote == '"' and _is_substitution(sign, command[index : index + 1]):
                return repr(sign)
        elif sign in "'\"":
            quote = sign
        elif sign in _OPERATORS or sign in _EXPANSIONS or _is_substitution(sign, command[index : index + 1]):
            return repr(sign)
    return None


def _is_substitution(sign: str, following: str) -> bool:
    return sign == "`" or (sign == "$" and (following.isalnum() or following in ("_", "{", "(", "@", "*", "#", "?")))
