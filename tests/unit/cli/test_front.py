"""The command's front: fast, complete and lazy."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from kubiya_workers import __version__
from kubiya_workers.cli import front
from kubiya_workers.cli.dispatch import root
from kubiya_workers.cli.table import COMMANDS

HEAVY = {"asyncio", "click", "httpx", "pydantic", "rich", "temporalio", "structlog", "yaml", "sqlalchemy", "fastapi"}


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["-h"]])
def test_the_front_imports_nothing_heavy(words: list[str]) -> None:
    script = (
        "import json, sys\nfrom kubiya_workers.cli.app import main\n"
        f"main({words!r})\nprint(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & HEAVY
    assert ("kubiya " + __version__ if words == ["--version"] else "Usage: kubiya") in done.stdout


def test_one_commands_help_does_not_import_the_others() -> None:
    script = (
        "import sys\nfrom kubiya_workers.cli.app import main\ntry:\n  main(['doctor', '--help'])\n"
        "except SystemExit: pass\nprint([m for m in sys.modules if m.startswith('kubiya_workers.cli.commands.')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.splitlines()[-1] == "['kubiya_workers.cli.commands.doctor']"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_is_there_and_explains_itself(name: str) -> None:
    result = CliRunner().invoke(root, [name, "--help"])
    assert result.exit_code == 0
    assert f"Usage: kubiya {name}" in result.output or f"Usage: root {name}" in result.output
    assert f"  {name}" in front.help_text()


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_help_is_the_same_with_and_without_click(words: list[str]) -> None:
    result = CliRunner().invoke(root, words)
    assert result.exit_code == 0
    assert result.output.strip() == front.help_text().strip()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    script = "from kubiya_workers.cli.app import main\nmain(['config', 'show'])"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    words = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 141
    assert words == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_command(shell: str) -> None:
    result = CliRunner().invoke(root, ["completion", shell])
    assert result.exit_code == 0
    assert "_KUBIYA_COMPLETE" in result.output
