"""Budgets: which one, if any, is used up."""

from kubiya_workers.contracts.agents import Limits
from kubiya_workers.contracts.executions import RunState


def exhausted(limits: Limits, state: RunState, elapsed_s: float) -> str | None:
    """The budget that forbids another step, in words; None while all of them hold."""
    checks: tuple[tuple[float | None, float, str], ...] = (
        (limits.max_model_calls, state.model_calls, "model calls"),
        (limits.max_tokens, state.usage.total_tokens, "tokens"),
        (limits.max_cost_usd, state.usage.cost_usd, "US dollars"),
        (limits.max_wall_s, elapsed_s, "seconds"),
    )
    for limit, used, unit in checks:
        if limit is not None and used >= limit:
            return f"the budget of {limit:g} {unit} is used up"
    return None


def too_many_tools(limits: Limits, state: RunState) -> str | None:
    """Why the open tool calls may not run, or None: all of them must fit, none of them is run otherwise."""
    limit, wanted = limits.max_tool_calls, len(state.open_calls)
    if limit is None or state.tool_calls + wanted <= limit:
        return None
    return f"the budget of {limit} tool calls is used up: {state.tool_calls} were made and {wanted} more are wanted"


def remaining_s(limits: Limits, elapsed_s: float) -> float | None:
    """The wall time that is left, in seconds, at least one; None without a limit."""
    return None if limits.max_wall_s is None else max(1.0, limits.max_wall_s - elapsed_s)
