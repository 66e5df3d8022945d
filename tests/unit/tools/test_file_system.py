"""Files: nothing leads out of the working directory, and nothing is left half done."""

import asyncio
import contextlib
import os
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from kubiya_workers.contracts.tools import ToolResult, ToolStatus

from .conftest import Use

SECRET = "the secret outside"


@pytest.fixture
def files(use: Use) -> Use:
    async def run(tool: str, config: dict[str, Any] | None = None, **arguments: Any) -> ToolResult:
        return await use("file_system", tool, arguments, config)

    return run


@pytest.fixture
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("outside")
    (directory / "secret").write_text(SECRET)
    return directory


async def test_what_is_written_is_read_and_replaced(files: Use, tmp_path: Path) -> None:
    created = await files("write_file", path="a/b/c.txt", content="one\ntwo\n")
    assert created.status is ToolStatus.SUCCESS and created.output == {"path": "a/b/c.txt", "size": 8, "created": True}
    assert (await files("read_file", path="a/b/c.txt")).content == "one\ntwo\n"
    assert (await files("write_file", path=f"{tmp_path}/a/b/c.txt", content="")).output["created"] is False
    assert (tmp_path / "a/b/c.txt").read_text() == ""
    assert os.listdir(tmp_path / "a/b") == ["c.txt"]


async def test_replacing_keeps_the_mode(files: Use, tmp_path: Path) -> None:
    script = tmp_path / "run"
    script.write_text("old")
    script.chmod(0o751)
    await files("write_file", path="run", content="new")
    assert stat.S_IMODE(script.stat().st_mode) == 0o751 and script.read_text() == "new"


@pytest.mark.parametrize(
    "path", ["../secret", "sub/../../secret", "out", "outdir/secret", "chain", "sub/up/secret", "{outside}/secret"]
)
@pytest.mark.parametrize("tool", ["read_file", "write_file", "list_directory", "search_files"])
async def test_nothing_escapes(files: Use, tmp_path: Path, outside: Path, tool: str, path: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "out").symlink_to(outside / "secret")
    (tmp_path / "outdir").symlink_to(outside)
    (tmp_path / "chain").symlink_to("sub/../out")
    (tmp_path / "sub/up").symlink_to(f"../../{outside.name}")
    more = {"write_file": {"content": "taken"}, "search_files": {"pattern": "secret"}}.get(tool, {})
    result = await files(tool, path=path.format(outside=outside), **more)
    assert result.status is ToolStatus.DENIED and SECRET not in result.content
    assert (outside / "secret").read_text() == SECRET and os.listdir(outside) == ["secret"]


async def test_links_that_stay_inside_work(files: Use, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/file").write_text("here")
    (tmp_path / "relative").symlink_to("a/../a/file")
    (tmp_path / "absolute").symlink_to(tmp_path / "a/file")
    (tmp_path / "directory").symlink_to("a")
    (tmp_path / "loop").symlink_to("loop")
    for path in ("relative", "absolute", "directory/file"):
        assert (await files("read_file", path=path)).content == "here"
    await files("write_file", path="absolute", content="there")
    assert (tmp_path / "absolute").is_symlink() and (tmp_path / "a/file").read_text() == "there"
    assert "too many links" in (await files("read_file", path="loop")).content


async def test_a_race_on_links_cannot_win(files: Use, tmp_path: Path, outside: Path) -> None:
    """A directory that turns into a link outside and back, as fast as it can, while files in it are used."""
    inside = tmp_path / "spin"
    inside.mkdir()
    (inside / "secret").write_text("inside")
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            with contextlib.suppress(OSError):
                inside.rename(tmp_path / "kept")
                inside.symlink_to(outside)
                inside.unlink()
                (tmp_path / "kept").rename(inside)

    spinner = threading.Thread(target=spin)
    spinner.start()
    try:
        for _ in range(150):
            assert SECRET not in (await files("read_file", path="spin/secret")).content
            await files("write_file", path="spin/secret", content="inside")
    finally:
        done.set()
        spinner.join()
    assert (outside / "secret").read_text() == SECRET and os.listdir(outside) == ["secret"]


async def test_hidden_files_do_not_exist_under_any_name(files: Use, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/key").write_text("needle")
    (tmp_path / ".env").write_text("needle")
    (tmp_path / "seen").write_text("needle")
    (tmp_path / "alias").symlink_to(".env")
    config = {"deny": [".env", "secrets/*"]}
    for path in (".env", ".ENV", "alias", "secrets/key", "sub/../.env"):
        assert (await files("read_file", config, path=path)).status is not ToolStatus.SUCCESS
        if path != "sub/../.env":
            assert (await files("write_file", config, path=path, content="")).status is ToolStatus.DENIED
    assert (await files("search_files", config, pattern="needle")).content == "seen:1: needle\n"
    assert ".env (" not in (await files("list_directory", config)).content
    assert (tmp_path / ".env").read_text() == "needle"


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "binary", "large", "below a file"])
async def test_what_cannot_be_read_is_explained(files: Use, tmp_path: Path, kind: str) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "large").write_text("x" * 101)
    path = "large/x" if kind == "below a file" else kind
    result = await files("read_file", {"max_bytes": 100}, path=path)
    assert result.status is ToolStatus.FAILED and path.partition("/")[0] in result.content


async def test_long_files_are_read_in_parts(files: Use, tmp_path: Path) -> None:
    (tmp_path / "long").write_text("".join(f"line {number}\n" for number in range(1, 101)))
    first = await files("read_file", {"output_limit": 256}, path="long")
    assert first.output["truncated"] and len(first.content) < 350
    next_line = first.output["lines"] + 1
    assert f"first_line={next_line}" in first.content
    second = await files("read_file", path="long", first_line=next_line, max_lines=1)
    assert second.content.startswith(f"line {next_line}\n")
    (tmp_path / "wide").write_text("x" * 10_000)
    assert len((await files("read_file", {"output_limit": 256}, path="wide")).content) < 400


async def test_limits_on_writing(files: Use, tmp_path: Path) -> None:
    large = await files("write_file", {"max_bytes": 10}, path="x", content="é" * 6)
    assert large.status is ToolStatus.FAILED and "12 bytes" in large.content
    (tmp_path / "directory").mkdir()
    assert (await files("write_file", path="directory", content="x")).status is ToolStatus.FAILED
    assert (await files("write_file", path=".", content="x")).status is ToolStatus.FAILED
    assert (await files("write_file", path="n" * 300, content="x")).status is ToolStatus.FAILED
    assert os.listdir(tmp_path) == ["directory"]


async def test_a_directory_is_listed(files: Use, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("12345")
    (tmp_path / "link").symlink_to("/etc")
    result = await files("list_directory")
    assert result.content == "directory/\nfile (5 bytes)\nlink -> /etc"
    assert (await files("list_directory", path="directory")).content == "Empty."
    for number in range(100):
        (tmp_path / f"directory/{number}").touch()
    many = await files("list_directory", {"output_limit": 256}, path="directory")
    assert many.output == {"path": "directory", "entries": 100, "truncated": True} and "more entries" in many.content


async def test_searching(files: Use, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/one.py").write_text("first\n  needle here\n")
    (tmp_path / "two.txt").write_bytes(b"\xff needle\n")
    (tmp_path / "binary").write_bytes(b"needle\0")
    (tmp_path / "out").symlink_to(outside)
    os.mkfifo(tmp_path / "pipe")
    both = await files("search_files", pattern="needle")
    assert both.content == "a/one.py:2: needle here\ntwo.txt:1: \ufffd needle\n"
    assert (await files("search_files", pattern="needle", glob="*.py")).output["matches"] == 1
    assert (await files("search_files", pattern="n(e)+dle$", regex=True)).output["matches"] == 1
    assert (await files("search_files", pattern="needle", path="a/one.py")).content == "a/one.py:2: needle here\n"
    assert (await files("search_files", pattern="secret")).content == "No match."
    assert "not a regular expression" in (await files("search_files", pattern="(", regex=True)).content


async def test_matches_are_limited(files: Use, tmp_path: Path) -> None:
    (tmp_path / "many").write_text("needle\n" * 10_000)
    result = await files("search_files", {"output_limit": 1000}, pattern="needle")
    assert "more matches" in result.content and result.output["truncated"] and len(result.content) < 1200


async def test_an_endless_pattern_ends_with_its_time(files: Use, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("needle\n")
    (tmp_path / "b").write_text("a" * 5000 + "!")
    began = time.monotonic()
    beats = 0
    searching = asyncio.create_task(files("search_files", {"timeout_s": 2}, pattern="needle|(a|a)+$", regex=True))
    while not searching.done():
        await asyncio.sleep(0.01)
        beats += 1
    assert time.monotonic() - began < 20 and beats > 10
    result = await searching
    assert result.error == "timed out after 2 s" and result.content.startswith("a:1: needle\n")
