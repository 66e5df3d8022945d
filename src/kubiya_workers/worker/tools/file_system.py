"""Files inside the working directory: read, write, list and search. Nothing leads out of it (`inside`).

Reading and writing are short and run on a thread; the search, which a pattern can make endless, is a process.
"""

import asyncio
import contextlib
import errno
import json
import os
import secrets
import stat
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import BinaryIO

from kubiya_workers.agent.skill_limits import FileLimits
from kubiya_workers.contracts.tools import ToolStatus

from . import searcher
from .call import Call, Denied, Outcome, ToolFault
from .command import Command, execute
from .inside import Place, place
from .output import CappedOutput, capped

_SEARCHER = str(Path(searcher.__file__))


async def read_file(call: Call) -> Outcome:
    """The file's text, from `first_line` on; what does not fit is announced with the line to go on from."""
    return await asyncio.to_thread(_read, call, _limits(call))


async def write_file(call: Call) -> Outcome:
    """Replaces the whole file at once: whoever reads it sees the old text or the new, never a part."""
    return await asyncio.to_thread(_write, call, _limits(call))


async def list_directory(call: Call) -> Outcome:
    """One entry a line: `name/`, `name (N bytes)` or `name -> target`."""
    return await asyncio.to_thread(_list, call, _limits(call))


async def search_files(call: Call) -> Outcome:
    """One match a line: `path:line: text`."""
    limits, output = _limits(call), CappedOutput(2 * call.spec.output_limit)
    with _found(call, limits) as here:
        descriptor = _opened(here, call, os.O_RDONLY | os.O_NONBLOCK)
        try:
            end = await execute(
                _search(call, limits, here, descriptor), timeout=call.spec.timeout_s, guard=call.guard, sinks=(output,)
            )
        finally:
            os.close(descriptor)
    text = output.text()
    if end.status == searcher.BAD_PATTERN:
        raise ToolFault(f"The pattern is not a regular expression: {text}. Mend it, or leave `regex` out.")
    if end.timed_out:
        seconds = f"{call.spec.timeout_s:g} s"
        text += f"[… ended after {seconds}; search a smaller directory, or for a simpler pattern …]"
        return Outcome(text, {"timed_out": True}, ToolStatus.FAILED, f"timed out after {seconds}")
    return Outcome(text or "No match.", {"matches": text.count("\n"), "truncated": "\n[…" in text})


def _limits(call: Call) -> FileLimits:
    return FileLimits.model_validate(call.spec.config)


@contextlib.contextmanager
def _found(call: Call, limits: FileLimits, *, make: bool = False) -> Generator[Place]:
    with place(call.directory, _asked(call), make=make) as here:
        # After links are resolved: a link must not be a second name for what is hidden.
        if here.path and searcher.is_denied(here.path, list(limits.deny)):
            raise Denied(f"{_asked(call)} may not be used here. Hidden: {', '.join(limits.deny)}.")
        yield here


def _asked(call: Call) -> str:
    return call.arguments.get("path") or "."


def _opened(here: Place, call: Call, flags: int) -> int:
    try:
        return here.open(flags)
    except OSError as error:
        raise _fault(call, error) from None


def _fault(call: Call, error: OSError) -> ToolFault:
    return ToolFault(f"{_asked(call)}: {error.strerror or error}. Look what is there with list_directory.")


def _read(call: Call, limits: FileLimits) -> Outcome:
    with _found(call, limits) as here:
        # Without waiting: to open a pipe would last until somebody writes into it.
        descriptor = _opened(here, call, os.O_RDONLY | os.O_NONBLOCK)
        try:
            size = _readable_size(descriptor, call, limits)
            first = call.arguments.get("first_line", 1)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                text, lines, more = _text(
                    file, first, call.arguments.get("max_lines", size + 1), call.spec.output_limit
                )
        finally:
            os.close(descriptor)
        return Outcome(text, {"path": here.path, "size": size, "first_line": first, "lines": lines, "truncated": more})


def _readable_size(descriptor: int, call: Call, limits: FileLimits) -> int:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ToolFault(f"{_asked(call)} is not a file. Use list_directory for directories.")
    if status.st_size > limits.max_bytes:
        raise ToolFault(f"{_asked(call)} has {status.st_size} bytes; at most {limits.max_bytes} are read.")
    if searcher.is_binary(os.pread(descriptor, 8192, 0)):
        raise ToolFault(f"{_asked(call)} is a binary file of {status.st_size} bytes; only text can be read.")
    return status.st_size


def _text(file: BinaryIO, first: int, most: int, room: int) -> tuple[str, int, bool]:
    """The lines from `first` on that fit into `room` bytes; how many; and whether there are more."""
    kept: list[bytes] = []
    for number, line in enumerate(file, 1):
        if number < first:
            continue
        if len(kept) == most or (kept and len(line) > room):
            kept.append(f"[… more lines: read on with first_line={number} …]".encode())
            return b"".join(kept).decode("utf-8", "replace"), len(kept) - 1, True
        kept.append(line if len(line) <= room else capped(line.decode("utf-8", "replace"), room)[0].encode() + b"\n")
        room = max(0, room - len(line))
    return b"".join(kept).decode("utf-8", "replace"), len(kept), False


def _write(call: Call, limits: FileLimits) -> Outcome:
    if limits.read_only:
        raise Denied("Files may only be read here.")
    content = _encoded(call, limits)
    with _found(call, limits, make=True) as here:
        try:
            created = _replace(here, content)
        except OSError as error:
            raise _fault(call, error) from None
        done = "Created" if created else "Replaced"
        return Outcome(
            f"{done} {here.path} ({len(content)} bytes).", {"path": here.path, "size": len(content), "created": created}
        )


def _encoded(call: Call, limits: FileLimits) -> bytes:
    content = str(call.arguments["content"]).encode()
    if len(content) > limits.max_bytes:
        raise ToolFault(f"The content has {len(content)} bytes; at most {limits.max_bytes} are written.")
    return content


def _replace(here: Place, content: bytes) -> bool:
    """Write beside the old file, then put the new one in its place; whether there was none."""
    old = here.status()
    if old is not None and not stat.S_ISREG(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, "Not a file")
    beside = Place(here.directory, f".kubiya-{secrets.token_hex(8)}", "")
    try:
        with os.fdopen(beside.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if old is not None:
                _keep(old, file.fileno())
        os.replace(beside.name, here.name, src_dir_fd=here.directory, dst_dir_fd=here.directory)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside.name, dir_fd=here.directory)
        raise
    return old is None


def _keep(old: os.stat_result, descriptor: int) -> None:
    """The old file's owner, where we may give it away, and its mode."""
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _list(call: Call, limits: FileLimits) -> Outcome:
    with _found(call, limits) as here:
        descriptor = _opened(here, call, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with os.scandir(descriptor) as entries:
                seen = [entry for entry in entries if not _is_hidden(entry.name, here, limits)]
            shown = [_entry(entry, descriptor) for entry in sorted(seen, key=lambda entry: entry.name)]
        except OSError as error:
            raise _fault(call, error) from None
        finally:
            os.close(descriptor)
        text, fit = _fitting(shown, call.spec.output_limit)
    return Outcome(text or "Empty.", {"path": here.path, "entries": len(shown), "truncated": fit < len(shown)})


def _is_hidden(name: str, here: Place, limits: FileLimits) -> bool:
    return searcher.is_denied(f"{here.path}/{name}" if here.path else name, list(limits.deny))


def _entry(entry: "os.DirEntry[str]", directory: int) -> str:
    if entry.is_symlink():
        with contextlib.suppress(OSError):
            return f"{entry.name} -> {os.readlink(entry.name, dir_fd=directory)}"
    if entry.is_dir(follow_symlinks=False):
        return f"{entry.name}/"
    with contextlib.suppress(OSError):
        return f"{entry.name} ({entry.stat(follow_symlinks=False).st_size} bytes)"
    return entry.name


def _fitting(shown: Iterable[str], room: int) -> tuple[str, int]:
    """The lines that fit into `room` bytes, the rest counted; and how many those are."""
    fit: list[str] = []
    rest = 0
    for line in shown:
        room -= len(line.encode("utf-8", "replace")) + 1
        if room >= 0:
            fit.append(line)
        else:
            rest += 1
    count = len(fit)
    return "\n".join([*fit, f"[… {rest} more entries …]"] if rest else fit), count


def _search(call: Call, limits: FileLimits, here: Place, descriptor: int) -> Command:
    job: searcher.Job = {
        "descriptor": descriptor,
        "path": here.path,
        "pattern": call.arguments["pattern"],
        "regex": call.arguments.get("regex", False),
        "glob": call.arguments.get("glob", "*"),
        "deny": list(limits.deny),
        "max_bytes": limits.max_bytes,
        "output_limit": call.spec.output_limit,
    }
    words = (sys.executable, "-I", "-S", _SEARCHER, json.dumps(job))
    return Command(sys.executable, words, call.directory, call.environment, (descriptor,))
