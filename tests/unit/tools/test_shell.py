"""The shell with real commands."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.processes import ended

from kubiya_workers.contracts.tools import ToolResult, ToolStatus

from .conftest import Use

LIMIT_S = 10.0


@pytest.fixture
def shell(use: Use) -> Use:
    async def run(command: str, *, config: dict[str, Any] | None = None, **others: Any) -> ToolResult:
        return await use("shell", "shell", {"command": command, **others}, config)

    return run


async def written(file: Path) -> str:
    """What a command has written, once it has."""
    async with asyncio.timeout(LIMIT_S):
        while not file.exists() or not file.read_text().endswith("\n"):
            await asyncio.sleep(0.01)
    return file.read_text()


async def test_output_and_exit_status(shell: Use, printed: list[str], tmp_path: Path) -> None:
    result = await shell("pwd; echo oops >&2")
    assert (result.status, result.error) == (ToolStatus.SUCCESS, None)
    assert result.content == f"exit status: 0\n{tmp_path}\noops\n"
    assert result.output == {
        "exit_status": 0,
        "stdout": f"{tmp_path}\noops\n",
        "truncated": False,
        "timed_out": False,
    }
    assert "".join(printed) == f"{tmp_path}\noops\n"


async def test_a_command_that_fails_is_a_failed_tool(shell: Use) -> None:
    result = await shell("echo no; exit 3")
    assert (result.status, result.error, result.content) == (
        ToolStatus.FAILED,
        "exit status 3",
        "exit status: 3\nno\n",
    )


async def test_a_command_ended_by_a_signal_has_the_status_a_shell_gives_it(shell: Use) -> None:
    assert (await shell("kill -9 $$")).output["exit_status"] == 137


async def test_the_environment_is_exactly_the_given_one(shell: Use, tmp_path: Path) -> None:
    result = await shell("env")
    # PWD, SHLVL and _ are the shell's own.
    seen = dict(line.split("=", 1) for line in result.output["stdout"].splitlines())
    assert {name: value for name, value in seen.items() if name not in ("PWD", "OLDPWD", "SHLVL", "_")} == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "TERM": "dumb",
        "GIVEN": "yes",
        "KUBIYA_IDEMPOTENCY_KEY": "key-1",
        "KUBIYA_EXECUTION_ID": "execution-1",
    }


async def test_there_is_no_input_to_wait_for(shell: Use) -> None:
    assert (await shell("cat; echo done")).output["stdout"] == "done\n"


async def test_output_comes_as_it_is_printed(shell: Use, printed: list[str], tmp_path: Path) -> None:
    running = asyncio.create_task(shell("echo first; while [ ! -e go ]; do sleep 0.01; done; echo second"))
    async with asyncio.timeout(LIMIT_S):
        while "".join(printed) != "first\n":
            await asyncio.sleep(0.01)
    assert not running.done()
    (tmp_path / "go").touch()
    assert (await running).output["stdout"] == "first\nsecond\n"


async def test_a_time_limit_ends_the_whole_group(shell: Use, tmp_path: Path) -> None:
    began = time.monotonic()
    result = await shell("sleep 600 & echo $! > pid; echo before; wait", timeout=1)
    assert time.monotonic() - began < 10
    assert (result.status, result.error) == (ToolStatus.FAILED, "timed out after 1 s")
    assert result.output["timed_out"] and "before" in result.content and "timed out" in result.content
    assert ended(int((tmp_path / "pid").read_text()))


async def test_the_agents_limit_wins_over_a_longer_wish(shell: Use) -> None:
    result = await shell("sleep 600", timeout=500, config={"timeout_s": 0.2})
    assert result.error == "timed out after 0.2 s"


async def test_what_is_left_in_the_background_is_ended_and_does_not_hold_the_call(shell: Use, tmp_path: Path) -> None:
    began = time.monotonic()
    result = await shell("sleep 600 & echo $! > pid; timeout 600 sleep 600 & echo done")
    assert time.monotonic() - began < 3
    assert result.output["stdout"] == "done\n"
    assert ended(int((tmp_path / "pid").read_text()))


async def test_what_leaves_the_session_does_not_hold_the_call(shell: Use, tmp_path: Path) -> None:
    began = time.monotonic()
    await shell("setsid sh -c 'echo $$ > pid; exec sleep 600' & while [ ! -s pid ]; do sleep 0.01; done")
    assert time.monotonic() - began < 3
    os.kill(int((tmp_path / "pid").read_text()), 9)


@pytest.mark.parametrize("before", ["", "trap '' TERM; "])
async def test_cancelling_ends_the_group_within_two_seconds(shell: Use, tmp_path: Path, before: str) -> None:
    running = asyncio.create_task(shell(f"{before}sleep 600 & echo $$ $! > pid; wait; sleep 600"))
    pids = [int(pid) for pid in (await written(tmp_path / "pid")).split()]
    began = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert time.monotonic() - began < 2
    assert all(map(ended, pids))


async def test_much_output_keeps_its_head_and_tail(shell: Use, printed: list[str]) -> None:
    size = 5_000_000
    command = f"echo head; head -c {size} /dev/zero | tr '\\0' x; echo tail"
    result = await shell(command, config={"output_limit": 1000})
    assert result.output["truncated"]
    assert result.content.startswith("exit status: 0\nhead\nxxx") and result.content.endswith("xxxtail\n")
    assert f"{size + 10 - 1000} bytes left out" in result.content
    assert len(result.content) < 1100
    assert len("".join(printed)) < 1100


async def test_bytes_that_are_no_text_do_no_harm(shell: Use, printed: list[str]) -> None:
    result = await shell("printf 'a\\377b\\000c\\303'; printf '\\251'")
    assert result.output["stdout"] == "a\ufffdb\ufffdcé"
    assert "".join(printed) == result.output["stdout"]


async def test_a_command_that_cannot_start_is_explained(shell: Use) -> None:
    result = await shell("echo " + "x" * 300_000)
    assert result.status is ToolStatus.FAILED and "file" in result.content


async def test_it_starts_in_a_directory_inside(shell: Use, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert (await shell("pwd", working_dir="sub")).output["stdout"] == f"{tmp_path}/sub\n"
    assert (await shell("pwd", working_dir="..")).status is ToolStatus.DENIED
    assert (await shell("pwd", working_dir="/")).status is ToolStatus.DENIED
    missing = await shell("pwd", working_dir="none")
    assert missing.status is ToolStatus.FAILED and "does not exist" in missing.content
