"""A team's coordinator: what it is told, the one tool that it has, and what a member's run says to it."""

import json
from collections.abc import Sequence
from typing import Any, cast

from kubiya_workers.contracts.executions import RunOutcome, Status
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.teams import Delegation, Member
from kubiya_workers.contracts.tools import Spent, ToolClass, ToolRequest, ToolResult, ToolSpec, ToolStatus

DELEGATE = "delegate"
TEAM = "team"
"""What stands in place of a skill: people cannot give an agent this tool."""

INSTRUCTIONS = (
    "You coordinate a team. Give its members the tasks that they are for, those that do not need each other's results "
    "together in one answer, and say in the end what came of it."
)
"""Of a team that has none of its own."""


def delegate_tool(members: Sequence[Member]) -> ToolSpec:
    """The tool that gives a member a task; whom it may name is in its schema."""
    told = "\n".join(f"- {member.name}: {member.description or 'no description'}" for member in members)
    return ToolSpec(
        name=DELEGATE,
        skill=TEAM,
        description=(
            "Give a member of the team a task, and get what it answers. It knows nothing of this conversation: the "
            "task must say all that it needs. Tasks that are given together are worked on side by side.\n"
            f"Members:\n{told}"
        ),
        parameters={
            "type": "object",
            "properties": {
                "member": {"type": "string", "enum": [member.name for member in members]},
                "task": {"type": "string", "minLength": 1, "description": "What is to be done, in full."},
            },
            "required": ["member", "task"],
            "additionalProperties": False,
        },
        tool_class=ToolClass.RETRY_SAFE,
    )


def is_delegation(spec: ToolSpec | None) -> bool:
    return spec is not None and spec.skill == TEAM


def delegation_in(request: ToolRequest) -> Delegation | str:
    """The task that a call of the tool gives; else why it gives none, for the model to read."""
    assert request.spec is not None, "only calls of a tool that the coordinator has"
    given = _object_in(request.arguments)
    if given is None:
        return "its arguments are no JSON object with `member` and `task`"
    names: list[str] = request.spec.parameters["properties"]["member"]["enum"]
    member, task = given.get("member"), given.get("task")
    if member not in names:
        return f"the team has no member {member!r}; its members: {', '.join(names)}"
    if not isinstance(task, str) or not task.strip():
        return "`task` must be a text that says what is to be done"
    return Delegation(step=request.step, member=member, task=task)


def result_of(request: ToolRequest, asked: Delegation, run: ExecutionId, outcome: RunOutcome, ms: int) -> ToolResult:
    """What came of a member's run, as the result of the call that asked for it; it took `ms` milliseconds."""
    ok = outcome.status is Status.COMPLETED
    error = None if ok else _why(outcome)
    return ToolResult(
        call_id=request.call_id,
        tool=request.tool,
        status=ToolStatus.SUCCESS if ok else ToolStatus.FAILED,
        content=outcome.response if ok else _failure(asked.member, error, outcome.response),
        output={
            "member": asked.member,
            "execution_id": run,
            "status": outcome.status.value,
            "response": outcome.response,
            "usage": outcome.usage.model_dump(mode="json"),
        },
        error=error,
        duration_ms=ms,
        spent=Spent(usage=outcome.usage, model_calls=outcome.model_calls, tool_calls=outcome.tool_calls),
    )


def _object_in(arguments: str) -> dict[str, Any] | None:
    try:
        parsed: Any = json.loads(arguments)
    except ValueError:
        return None
    return cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else None


def _why(outcome: RunOutcome) -> str:
    words = outcome.error or "without a reason"
    return f"{outcome.failure_reason}: {words}" if outcome.failure_reason else words


def _failure(member: str, error: str | None, response: str) -> str:
    so_far = f" What it had said until then: {response}" if response else ""
    return f"{member} did not finish: {error}.{so_far}"
