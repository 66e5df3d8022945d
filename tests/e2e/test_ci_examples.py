"""The pipelines of examples/ci: each can be read by its system, and its command runs as written."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from .machine import KUBIYA, Machine

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"
FILES = ("github-actions.yml", "gitlab-ci.yml", "Jenkinsfile")


def scripts(name: str) -> list[str]:
    """The shell scripts of a pipeline, where its system looks for them."""
    text = (EXAMPLES / name).read_text()
    if name == "Jenkinsfile":
        return re.findall(r"sh '''(.*?)'''", text, re.DOTALL)
    pipeline: dict[str, Any] = yaml.safe_load(text)
    if name == "gitlab-ci.yml":
        return [line for job in pipeline.values() for line in job["script"]]
    return [step["run"] for job in pipeline["jobs"].values() for step in job["steps"] if "run" in step]


def commands(name: str) -> list[str]:
    lines = [line.strip() for script in scripts(name) for line in script.splitlines()]
    return [line for line in lines if line.startswith("kubiya ")]


def test_each_pipeline_is_tested() -> None:
    assert sorted(path.name for path in EXAMPLES.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_the_command_of_a_pipeline_runs_as_written(machine: Machine, name: str) -> None:
    (command,) = commands(name)
    assert "--local" in command
    assert "--yes" in command
    # The offline model runs what stands in backticks, so that the outcome is known.
    told = re.sub(r"'[^']*'", "'Run `echo reviewed`'", command)
    done = _shell(machine, told)
    assert done.returncode == 0, done.stderr
    assert "reviewed" in (machine.work / "review.md").read_text()


@pytest.mark.parametrize("name", FILES)
def test_a_run_that_fails_fails_the_step(machine: Machine, name: str) -> None:
    (command,) = commands(name)
    done = _shell(machine, command.replace("kubiya exec", "kubiya exec --model none/such"))
    assert done.returncode not in (0, 2), done.stderr


def _shell(machine: Machine, script: str) -> subprocess.CompletedProcess[str]:
    env = {**machine.environ, "PATH": f"{KUBIYA.parent}:{machine.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", script], cwd=machine.work, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
