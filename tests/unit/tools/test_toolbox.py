"""What a model can do wrong is answered, never raised."""

from pathlib import Path
from typing import Any

import pytest

from kubiya_workers.agent.skills import tools_for
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.tools import ToolRequest, ToolSpec, ToolStatus, Workspace
from kubiya_workers.worker.tools import Toolbox

from .conftest import Use


def request(spec: ToolSpec | None, arguments: str = "{}") -> ToolRequest:
    return ToolRequest(
        execution_id=ExecutionId("e"),
        step=1,
        call_id="c",
        tool="made_up",
        spec=spec,
        arguments=arguments,
        idempotency_key="k",
    )


def ignore(_: str) -> None:
    pass


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{", "not valid JSON"),
        ('{"command": ', "not valid JSON"),
        ('{"command": NaN}', "NaN"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "$"),
        ('"ls"', "$"),
        ("", "'command' is a required property"),
        ('{"command": 7}', "$.command: 7 is not of type 'string'"),
        ('{"command": "ls", "timeout": 0}', "$.timeout"),
        ('{"command": "ls", "cwd": "/"}', "'cwd' was unexpected"),
        ('{"command": "ls\\u0000"}', "NUL"),
        ('{"command": "\\ud800"}', "surrogate"),
    ],
)
async def test_bad_arguments_name_the_place_and_the_rule(use: Use, arguments: str, said: str) -> None:
    result = await use("shell", "shell", arguments)
    assert result.status is ToolStatus.FAILED
    assert said in result.content and "schema" in result.content
    assert result.error and "schema" not in result.error


async def test_a_complaint_does_not_repeat_a_large_value(use: Use) -> None:
    assert len((await use("shell", "shell", {"command": ["x" * 100_000]})).content) < 2000


async def test_an_unknown_tool_is_answered(tmp_path: Path) -> None:
    workspace = Workspace(working_dir=str(tmp_path))
    result = await Toolbox(base={}).run(request(None), workspace, on_output=ignore)
    assert result.status is ToolStatus.FAILED and "no tool named 'made_up'" in result.content
    assert (result.call_id, result.tool) == ("c", "made_up")


async def test_a_tool_of_a_newer_version_is_answered(tmp_path: Path) -> None:
    spec = tools_for("shell", {})[0].model_copy(update={"skill": "browser"})
    result = await Toolbox(base={}).run(request(spec), Workspace(working_dir=str(tmp_path)), on_output=ignore)
    assert result.status is ToolStatus.FAILED and "newer version" in result.content


async def test_a_missing_working_directory_is_answered(tmp_path: Path) -> None:
    spec = tools_for("shell", {})[0]
    workspace = Workspace(working_dir=str(tmp_path / "none"))
    result = await Toolbox(base={}).run(request(spec, '{"command": "ls"}'), workspace, on_output=ignore)
    assert result.status is ToolStatus.FAILED and "does not exist" in result.content


@pytest.mark.parametrize("variables", [{"A=B": "x"}, {"A": "x\0y"}])
async def test_variables_that_no_program_can_have_are_answered(tmp_path: Path, variables: dict[str, Any]) -> None:
    workspace = Workspace(working_dir=str(tmp_path), env_vars=variables)
    result = await Toolbox(base={"PATH": "/usr/bin:/bin"}).run(
        request(tools_for("shell", {})[0], '{"command": "ls"}'), workspace, on_output=ignore
    )
    assert result.status is ToolStatus.FAILED
