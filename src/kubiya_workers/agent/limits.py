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


def share(limits: Limits, state: RunState, elapsed_s: float, *, among: int) -> Limits:
    """An equal part, for each of so many members' runs side by side, of what is left of the budgets of their team's.

    Equal parts keep the whole within its budgets although the members do not know of each other; what one of them
    leaves is there for the next. They share the time that is left, and each has all of it.
    """

    def part(limit: int | None, used: int) -> int | None:
        return None if limit is None else max(0, limit - used) // among

    cost = limits.max_cost_usd
    return Limits(
        max_model_calls=part(limits.max_model_calls, state.model_calls),
        max_tool_calls=part(limits.max_tool_calls, state.tool_calls + len(state.open_calls)),
        max_tokens=part(limits.max_tokens, state.usage.total_tokens),
        max_cost_usd=None if cost is None else max(0.0, cost - state.usage.cost_usd) / among,
        max_wall_s=remaining_s(limits, elapsed_s),
    )


def tighter(one: Limits, other: Limits) -> Limits:
    """The smaller of each two limits."""
    smaller = {name: _smaller(getattr(one, name), getattr(other, name)) for name in Limits.model_fields}
    return Limits.model_validate(smaller)


def _smaller(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def remaining_s(limits: Limits, elapsed_s: float) -> float | None:
    """The wall time that is left, in seconds, at least one; None without a limit."""
    return None if limits.max_wall_s is None else max(1.0, limits.max_wall_s - elapsed_s)
