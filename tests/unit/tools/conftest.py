"""A toolbox as a worker has it: with a guard, and an environment that must not leak."""

import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubiya_workers.agent.skills import tools_for
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.tools import ToolRequest, ToolResult, Workspace
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.worker.tools import Toolbox

BASE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "KUBIYA_API_KEY": "never", "TOKEN": "never"}

Use = Callable[..., Awaitable[ToolResult]]


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard.start() as guard:
        yield guard


@pytest.fixture
def printed() -> list[str]:
    """What the tool printed, as it came."""
    return []


@pytest.fixture
def use(guard: Guard, tmp_path: Path, printed: list[str]) -> Use:
    """Call a tool by skill and name: `arguments` as text or an object, `config` the skill's configuration."""
    toolbox = Toolbox(guard, base=BASE)

    async def call(skill: str, tool: str, arguments: Any = None, config: dict[str, Any] | None = None) -> ToolResult:
        spec = next(spec for spec in tools_for(skill, config or {}) if spec.name == tool)
        request = ToolRequest(
            execution_id=ExecutionId("execution-1"),
            step=1,
            call_id="call-1",
            tool=tool,
            spec=spec,
            arguments=arguments if isinstance(arguments, str) else json.dumps(arguments),
            idempotency_key="key-1",
        )
        workspace = Workspace(working_dir=str(tmp_path), env_vars={"GIVEN": "yes"})
        return await toolbox.run(request, workspace, on_output=printed.append)

    return call
