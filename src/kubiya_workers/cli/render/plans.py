"""A plan as text, and its making as it is told of."""

from kubiya_workers.contracts.plans import (
    Plan,
    PlanComplete,
    PlanEvent,
    PlanFailed,
    PlanProgress,
    PlanStepCompleted,
    PlanStepStarted,
    PlanThinking,
    SavedPlan,
)

from ..output import details
from .neutral import neutral, one_line
from .screen import Screen


class PlanTalk:
    """Shows how a plan is made; the model's reasoning where it is wanted."""

    def __init__(self, screen: Screen, *, verbose: bool) -> None:
        self._screen = screen
        self._verbose = verbose
        self._thinks = False

    def event(self, event: PlanEvent) -> None:
        match event:
            case PlanProgress() | PlanStepStarted():
                self._end_line()
                self._screen.status(one_line(event.message), lasting=True)
            case PlanThinking():
                if self._verbose:
                    self._thinks = True
                    self._screen.part(neutral(event.content))
            case PlanStepCompleted() | PlanComplete() | PlanFailed():
                self._end_line()

    def close(self) -> None:
        self._end_line()
        self._screen.clear()

    def _end_line(self) -> None:
        if self._thinks:
            self._screen.line("")
        self._thinks = False


def plan_text(saved: SavedPlan) -> str:
    """Everything that a person decides on, and what became of it."""
    plan = saved.plan
    complexity, chosen = plan.complexity, plan.recommended_execution
    return details(
        (
            ("Plan", plan.plan_id),
            ("Title", plan.title),
            ("Summary", plan.summary),
            ("Prompt", saved.prompt),
            (chosen.entity_type.capitalize(), chosen.entity_name),
            ("Queue", chosen.recommended_worker_queue_name or "one that the control plane chooses"),
            ("Environment", chosen.recommended_environment_name),
            ("Because", chosen.reasoning),
            ("Steps", _steps(plan)),
            ("Complexity", f"{_points(complexity.story_points)}, {complexity.confidence} confidence"),
            ("Estimated so", complexity.reasoning),
            ("Cost", _cost(plan)),
            ("Needs", _lines(plan.prerequisites)),
            ("Risks", _lines(plan.risks)),
            ("Done when", _lines(plan.success_criteria)),
            ("Notes", _lines(plan.notes)),
            ("Planned by", plan.model),
            ("Saved", saved.saved_at.isoformat(timespec="seconds")),
            ("Approved", saved.approved_at.isoformat(timespec="seconds") if saved.approved_at else saved.approved),
            ("Executed", saved.executed_at.isoformat(timespec="seconds") if saved.executed_at else None),
            ("Execution", saved.execution_id),
        )
    )


def _points(number: int) -> str:
    return "1 story point" if number == 1 else f"{number} story points"


def _steps(plan: Plan) -> str:
    lines: list[str] = []
    for share in plan.team_breakdown:
        if len(plan.team_breakdown) > 1:
            lines.append(f"{share.agent_name}:")
        for task in share.tasks:
            lines.append(f"{task.id}. {task.title}")
            lines += [f"   {line}" for line in task.description.splitlines()]
    return "\n".join(lines)


def _cost(plan: Plan) -> str:
    estimate = plan.cost_estimate.estimated_cost_usd
    tokens = sum(cost.estimated_input_tokens + cost.estimated_output_tokens for cost in plan.cost_estimate.llm_costs)
    models = ", ".join(cost.model_id for cost in plan.cost_estimate.llm_costs)
    if not tokens:
        return "not estimated"
    priced = "no price known" if estimate is None else f"about ${estimate:.4f}"
    return f"{priced}: {tokens:,} tokens of {models}"


def _lines(items: tuple[str, ...]) -> str:
    return "\n".join(f"- {item}" for item in items)
