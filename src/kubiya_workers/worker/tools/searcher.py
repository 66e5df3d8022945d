"""The search itself, as a process of its own: a regular expression can take for ever, and then only a kill helps.

Run as a script by an isolated interpreter, so it imports nothing of the package. Gets its job as JSON in its first
argument and the place to search as an open descriptor, below which it follows no link. Prints `path:line: text`.
"""

import fnmatch
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from typing import TypedDict

SKIPPED = frozenset({".git", "node_modules", "__pycache__", ".venv"})
MOST_MATCHES = 500
LONGEST_LINE = 10_000
LONGEST_SHOWN = 300
DEEPEST = 64
BAD_PATTERN = 2
"""The exit status for a pattern that is no regular expression."""

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


class Job(TypedDict):
    """What to search: `descriptor` is the open place, `path` its name from the working directory; sizes in bytes."""

    descriptor: int
    path: str
    pattern: str
    regex: bool
    glob: str
    deny: list[str]
    max_bytes: int
    output_limit: int


def is_denied(path: str, patterns: list[str]) -> bool:
    """Whether a path from the working directory, or a directory above it, is hidden by a pattern on its name or its
    path. Case is ignored, because some file systems do."""
    parts = path.casefold().split("/")
    above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    return any(fnmatch.fnmatchcase(name, pattern.casefold()) for pattern in patterns for name in (*parts, *above))


def is_binary(head: bytes) -> bool:
    return b"\0" in head


def files(descriptor: int, path: str, deny: list[str], depth: int = 0) -> Iterator[tuple[str, int]]:
    """Each regular file at or below an open descriptor: its path, and a descriptor that is closed after its turn."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        yield path, descriptor
        return
    for name in sorted(os.listdir(descriptor)):
        below = f"{path}/{name}" if path else name
        child = _opened(name, descriptor) if name not in SKIPPED and not is_denied(below, deny) else None
        if child is None:
            continue
        try:
            if depth < DEEPEST:
                yield from files(child, below, deny, depth + 1)
        finally:
            os.close(child)


def _opened(name: str, directory: int) -> int | None:
    """A regular file or a directory, but not what a link leads to, nor a pipe or a device."""
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            return None
        return os.open(name, _DIRECTORY if stat.S_ISDIR(mode) else _FILE, dir_fd=directory)
    except OSError:
        return None


def lines(descriptor: int, most: int) -> Iterator[tuple[int, str]]:
    """The numbered lines of a text file; none of a binary one, or of one over `most` bytes."""
    if os.fstat(descriptor).st_size > most:
        return
    with os.fdopen(os.dup(descriptor), "rb") as file:
        data = file.read(most)
    if not is_binary(data[:8192]):
        for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
            yield number, line[:LONGEST_LINE].rstrip("\r")


def matcher(pattern: str, regex: bool) -> Callable[[str], bool]:
    if not regex:
        return lambda line: pattern in line
    compiled = re.compile(pattern)
    return lambda line: compiled.search(line) is not None


def matches(job: Job, found: Callable[[str], bool]) -> Iterator[str]:
    for path, descriptor in files(job["descriptor"], job["path"], job["deny"]):
        if fnmatch.fnmatchcase(os.path.basename(path), job["glob"]):
            for number, line in lines(descriptor, job["max_bytes"]):
                if found(line):
                    yield f"{path}:{number}: {line.strip()[:LONGEST_SHOWN]}"


def main() -> int:
    job: Job = json.loads(sys.argv[1])
    try:
        found = matcher(job["pattern"], job["regex"])
    except (re.error, RecursionError, OverflowError) as error:
        sys.stdout.write(f"{error}")
        return BAD_PATTERN
    room = job["output_limit"]
    for count, match in enumerate(matches(job, found)):
        line = (match + "\n").encode("utf-8", "replace")
        room -= len(line)
        if room < 0 or count == MOST_MATCHES:
            sys.stdout.write("[… more matches: narrow the search …]\n")
            break
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
