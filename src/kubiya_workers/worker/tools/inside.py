"""Paths that stay inside a directory, however links are laid, and even while they are being changed.

A path is walked one component at a time from an open descriptor of the root; no component is opened through a link.
A link is read and its target walked the same way, so links that stay inside work, and nothing else does.
"""

import contextlib
import os
import stat
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .call import Denied, ToolFault

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40


@dataclass(frozen=True)
class Place:
    """The last component of a path: its name in an open directory; what is there is no link, or nothing.

    `path` is the path from the root with links resolved, empty for the root itself.
    """

    directory: int
    name: str
    path: str

    def open(self, flags: int, mode: int = 0o666) -> int:
        """Raises OSError, also when the place has become a link since it was found."""
        return os.open(self.name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.directory)

    def status(self) -> os.stat_result | None:
        """What is there, or None."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None


@contextlib.contextmanager
def place(root: Path, path: str, *, make: bool = False) -> Generator[Place]:
    """Where `path` leads; with `make`, missing directories on the way are made.

    Raises:
        Denied: it leads out of `root`.
        ToolFault: a directory on the way is missing, or is none.
    """
    walk = _Walk(root, path, make)
    try:
        yield walk.place()
    finally:
        walk.close()


class _Walk:
    def __init__(self, root: Path, path: str, make: bool) -> None:
        self._root = root
        self._asked = path
        self._make = make
        self._names: list[str] = []
        self._links = 0
        self._pending: list[str] = []
        self._directories = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]

    def close(self) -> None:
        while self._directories:
            os.close(self._directories.pop())

    def place(self) -> Place:
        self._push(self._asked)
        while self._pending:
            name = self._pending.pop()
            if name == "..":
                self._up()
            elif (target := self._link(name)) is not None:
                self._follow(target)
            elif self._pending:
                self._enter(name)
            else:
                return Place(self._directories[-1], name, "/".join([*self._names, name]))
        return Place(self._directories[-1], ".", "/".join(self._names))

    def _push(self, path: str) -> None:
        """Walk `path` next; an absolute one must be below the root, and is walked from there."""
        pure = PurePosixPath(path)
        if pure.is_absolute():
            if not pure.is_relative_to(self._root):
                raise self._outside()
            pure = pure.relative_to(self._root)
            while self._names:
                self._up()
        self._pending += reversed(pure.parts)

    def _up(self) -> None:
        if not self._names:
            raise self._outside()
        self._names.pop()
        os.close(self._directories.pop())

    def _link(self, name: str) -> str | None:
        """Where a link leads; None for anything else."""
        try:
            mode = os.stat(name, dir_fd=self._directories[-1], follow_symlinks=False).st_mode
            return os.readlink(name, dir_fd=self._directories[-1]) if stat.S_ISLNK(mode) else None
        except OSError:
            return None

    def _follow(self, target: str) -> None:
        self._links += 1
        if self._links > _MOST_LINKS:
            raise ToolFault(f"{self._asked}: too many links.")
        self._push(target)

    def _enter(self, name: str) -> None:
        try:
            self._directories.append(self._directory(name))
        except OSError as error:
            raise ToolFault(f"{self._asked}: {name}: {error.strerror}.") from None
        self._names.append(name)

    def _directory(self, name: str) -> int:
        above = self._directories[-1]
        try:
            return os.open(name, _DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            if not self._make:
                raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
        return os.open(name, _DIRECTORY, dir_fd=above)

    def _outside(self) -> Denied:
        return Denied(f"{self._asked} is outside the working directory {self._root}. Use a path inside it.")
