"""The words of events, pure: what a tool call, its output and the end of a run look like as plain text."""

import json
from typing import Literal

from kubiya_workers.contracts.events import ApprovalRequested, ApprovalResolved, Done, ToolCompleted, ToolStarted
from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.messages import Usage
from kubiya_workers.contracts.wire import JsonObject

from ..ages import duration
from .neutral import neutral, one_line

COLLAPSED_LINES = 10
_ARGUMENT_WIDTH = 80
_MAIN_ARGUMENTS = ("command", "path", "url", "pattern", "query")

Tone = Literal["good", "bad", "warn", "plain", "dim"]


def main_argument(tool_input: JsonObject) -> str:
    """The one argument that says what a call is about; all of them where none stands out."""
    for name in _MAIN_ARGUMENTS:
        value = tool_input.get(name)
        if isinstance(value, str) and value:
            return one_line(value, _ARGUMENT_WIDTH)
    return one_line(json.dumps(tool_input, ensure_ascii=False), _ARGUMENT_WIDTH) if tool_input else ""


def call(event: ToolStarted) -> str:
    if event.member_execution_id is not None:
        return f"{delegation(event)}: {one_line(str(event.tool_input.get('task', '')), _ARGUMENT_WIDTH)}"
    return f"{neutral(event.tool_name)}  {main_argument(event.tool_input)}".rstrip()


def delegation(event: ToolStarted) -> str:
    """The name of the member that a delegation gives its task to."""
    return one_line(str(event.tool_input.get("member", event.tool_name)), 40)


def approval(event: ApprovalRequested, execution_id: str) -> tuple[tuple[Tone, str], ...]:
    """What a call wants, and how a person agrees to it."""
    return (
        ("warn", f"‖ {neutral(event.tool_name)}  {main_argument(event.tool_input)}".rstrip()),
        (
            "plain",
            f"  A person must agree to this: kubiya execution approve {execution_id} {neutral(event.approval_id)}",
        ),
    )


def resolution(event: ApprovalResolved) -> str:
    by = f" by {neutral(event.by)}" if event.by else ""
    return f"{event.decision}{by}" + (f": {neutral(event.reason)}" if event.reason else "")


def completed(event: ToolCompleted, started: ToolStarted | None) -> tuple[Tone, str]:
    """One line for a finished tool call: a mark, its name, main argument, duration, and what failed."""
    mark, tone = _mark(event)
    what = call(started) if started else neutral(event.tool_name)
    failed = f" · {one_line(event.tool_error)}" if event.tool_error else ""
    return tone, f"{mark} {what}  ({duration(event.duration_ms / 1000)}{failed})"


def _mark(event: ToolCompleted) -> tuple[str, Tone]:
    match event.outcome:
        case "unknown":
            return "?", "warn"
        case "denied":
            return "⊘", "warn"
        case _:
            return ("✓", "good") if event.tool_status == "success" else ("✗", "bad")


def output_of(event: ToolCompleted) -> str:
    """What the tool said: a command's own output where there is one, else what the model reads."""
    stdout = event.tool_output.get("stdout")
    return stdout if isinstance(stdout, str) else event.content


def collapsed(output: str, *, whole: bool) -> list[str]:
    """The lines of an output; the first ones and a count, unless all are wanted."""
    lines = neutral(output).rstrip("\n").split("\n") if output.strip() else []
    if whole or len(lines) <= COLLAPSED_LINES + 1:
        return lines
    left = len(lines) - COLLAPSED_LINES
    return [*lines[:COLLAPSED_LINES], f"… {left} more lines, --verbose shows all"]


def ending(event: Done, took: float | None, tool_calls: int) -> tuple[Tone, str]:
    """The last line: how it ended, how long it took, what it used."""
    mark: dict[Status, tuple[str, Tone]] = {Status.COMPLETED: ("✓", "good"), Status.CANCELLED: ("⊘", "warn")}
    sign, tone = mark.get(event.status, ("✗", "bad"))
    parts = [f"{sign} {event.status}" + (f" in {duration(took)}" if took is not None else "")]
    if event.usage.total_tokens:
        parts.append(tokens(event.usage))
    if tool_calls:
        parts.append("1 tool call" if tool_calls == 1 else f"{tool_calls} tool calls")
    return tone, " · ".join([*parts, f"execution {event.execution_id}"])


def tokens(usage: Usage) -> str:
    cost = f" (${usage.cost_usd:.4f})" if usage.cost_usd else ""
    return f"{usage.total_tokens:,} tokens{cost}"


def waiting(status: Status, reason: str | None) -> str | None:
    """What a run that does not move waits for; None for one that moves or is over."""
    match status:
        case Status.PENDING:
            return f"Waiting for {neutral(reason or 'a worker')}"
        case Status.WAITING_FOR_INPUT:
            return f"Waiting for {neutral(reason or 'a message from you')}"
        case Status.PAUSED:
            return "Paused" + (f": {neutral(reason)}" if reason else "")
        case _:
            return None
