"""Allow and deny lists must bind, whatever a model writes."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.contracts.tools import ToolStatus
from kubiya_workers.worker.tools.call import Denied, ToolFault
from kubiya_workers.worker.tools.programs import Lists

from .conftest import Use

PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}


@pytest.mark.parametrize(
    "command",
    [
        "ls | sh",
        "ls; rm x",
        "ls && rm x",
        "ls > x",
        "ls < x",
        "ls &",
        "ls $(rm x)",
        "ls `rm x`",
        'ls "$(rm x)"',
        'ls "`rm x`"',
        "ls $HOME",
        "ls ${HOME}",
        "ls *.py",
        "ls\nrm x",
        "(ls)",
    ],
)
def test_what_needs_a_shell_is_denied_and_said(command: str) -> None:
    with pytest.raises(Denied, match="no shell"):
        Lists(allow=("ls",)).admit(command, PATH)


@pytest.mark.parametrize("command", ["ls 'a b' \"c|d\" e\\;f", "ls 'it`s $(x)' --color=never 5$", "ls -la"])
def test_quoted_signs_are_plain_text(command: str) -> None:
    assert Lists(allow=("ls",)).admit(command, PATH).words[0] == "ls"


def test_only_allowed_programs_run() -> None:
    lists = Lists(allow=("ls", "head*"))
    assert lists.admit("/bin/ls -l", PATH).path == os.path.realpath("/bin/ls")
    assert lists.admit("head -1 x", PATH).path == os.path.realpath("/usr/bin/head")
    for command in ("rm x", "sh -c ls", "env ls", "/usr/bin/env ls"):
        with pytest.raises(Denied):
            lists.admit(command, PATH)


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "ls").symlink_to("/bin/rm")
    with pytest.raises(Denied):
        Lists(allow=("ls",)).admit(f"{tmp_path}/ls x", PATH)
    with pytest.raises(Denied):
        Lists(deny=("rm",)).admit(f"{tmp_path}/ls x", PATH)


def test_an_allowed_name_may_itself_be_a_link() -> None:
    assert Lists(allow=("awk",)).admit("awk 1", PATH).path == os.path.realpath("/usr/bin/awk")


def test_a_file_that_only_bears_an_allowed_name_is_not_the_program(tmp_path: Path) -> None:
    for name in ("ls", "lsx"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        for allow in ("ls", "ls*"):
            with pytest.raises(Denied):
                Lists(allow=(allow,)).admit(f"{tmp_path}/{name}", PATH)


def test_a_deny_list_also_refuses_programs_that_run_others(tmp_path: Path) -> None:
    lists = Lists(deny=("rm",))
    assert lists.admit("echo hi", PATH).words == ("echo", "hi")
    for command in ("rm x", "/bin/rm x", "sh -c 'rm x'", "env rm x", "xargs rm", "find . -delete", "python3 -c 1"):
        with pytest.raises((Denied, ToolFault)):
            lists.admit(command, PATH)
    copy = tmp_path / "harmless"
    copy.write_bytes(Path("/bin/rm").read_bytes())
    copy.chmod(0o755)
    with pytest.raises(Denied):
        lists.admit(f"{copy} x", PATH)


def test_a_denied_program_stays_denied_when_it_is_also_allowed() -> None:
    with pytest.raises(Denied):
        Lists(allow=("*",), deny=("rm",)).admit("rm x", PATH)


@pytest.mark.parametrize("command", ["nonesuch", "./ls", "bin/ls", "''", "FOO=1 ls", "ls 'x"])
def test_what_cannot_be_found_or_split_is_explained(command: str) -> None:
    with pytest.raises(ToolFault):
        Lists(allow=("ls",)).admit(command, PATH)


def test_path_entries_that_depend_on_the_directory_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ToolFault):
        Lists(allow=("tool",)).admit("tool", {"PATH": ".::/usr/bin"})


@given(st.text(max_size=40))
def test_any_text_runs_the_allowed_program_or_nothing(command: str) -> None:
    try:
        program = Lists(allow=("true",)).admit(command, PATH)
    except ToolFault:
        return
    assert program.path == os.path.realpath("/usr/bin/true")


async def test_the_lists_bind_in_the_tool(use: Use, tmp_path: Path) -> None:
    config = {"allow": ["echo"]}
    assert (await use("shell", "shell", {"command": "echo 'a  b'"}, config)).output["stdout"] == "a  b\n"
    denied = await use("shell", "shell", {"command": "touch x"}, config)
    assert denied.status is ToolStatus.DENIED and "Allowed: echo" in denied.content
    piped = await use("shell", "shell", {"command": "echo a > x"}, config)
    assert piped.status is ToolStatus.DENIED and not (tmp_path / "x").exists()
