"""Plans: what a model proposes for a prompt before anything runs, the stream that tells of its making, and its file.

A plan recommends who runs the prompt and where. It never replaces the prompt: what runs is what the user wrote.
"""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, TypeAdapter

from .ids import ExecutionId
from .wire import JsonObject, Timestamp, Wire


class NewPlan(Wire):
    """The body of `/tasks/plan`. `agent` or `team`, `worker_queue_id` and `environment_id` (by id or name) leave the
    planner no other choice; `model` is the one that plans. `execution_model` is the one that will run it, where that is
    not the agent's; whether there is one is asked when it runs."""

    prompt: str = Field(validation_alias=AliasChoices("prompt", "description"))
    agent: str | None = None
    team: str | None = None
    worker_queue_id: str | None = None
    environment_id: str | None = None
    model: str | None = None
    execution_model: str | None = None


class Complexity(Wire):
    story_points: int
    confidence: Literal["low", "medium", "high"]
    reasoning: str = ""


class PlannedTask(Wire):
    """One step of the work, as the planner sees it: it guides people and binds nobody."""

    id: int
    title: str
    description: str = ""


class ModelCost(Wire):
    """Estimated tokens, priced by the price table; `total_cost` in US dollars, None where no price is known."""

    model_id: str
    estimated_input_tokens: int
    estimated_output_tokens: int
    total_cost: float | None = None


class Share(Wire):
    """What one agent, or a team as a whole, has to do."""

    agent_id: str
    agent_name: str
    tasks: tuple[PlannedTask, ...] = ()
    model_info: ModelCost


class Recommendation(Wire):
    entity_type: Literal["agent", "team"] = "agent"
    entity_id: str
    entity_name: str
    recommended_environment_id: str | None = None
    recommended_environment_name: str | None = None
    recommended_worker_queue_id: str | None = None
    recommended_worker_queue_name: str | None = None
    """No queue: the control plane chooses one when it runs."""
    reasoning: str = ""


class CostEstimate(Wire):
    """In US dollars; None where no price is known. Tools have no price."""

    estimated_cost_usd: float | None = None
    llm_costs: tuple[ModelCost, ...] = ()
    tool_costs: tuple[JsonObject, ...] = ()


class Plan(Wire):
    plan_id: str
    title: str
    summary: str
    complexity: Complexity
    team_breakdown: tuple[Share, ...] = ()
    recommended_execution: Recommendation
    cost_estimate: CostEstimate = CostEstimate()
    risks: tuple[str, ...] = ()
    prerequisites: tuple[str, ...] = ()
    success_criteria: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What of the model's proposal was left out, and why."""
    model: str
    """The one that made it."""
    created_at: Timestamp


class PlanAnswer(Wire):
    """The answer of `/tasks/plan`."""

    plan: Plan


class SavedPlan(Wire):
    """The file of a plan. `prompt` is what runs."""

    plan: Plan
    prompt: str
    saved_at: Timestamp
    approved: bool = False
    approved_at: Timestamp | None = None
    executed_at: Timestamp | None = None
    execution_id: ExecutionId | None = None


class PlanProgress(Wire):
    type: Literal["progress"] = "progress"
    message: str


class PlanThinking(Wire):
    """A piece of the model's reasoning, as it comes."""

    type: Literal["thinking"] = "thinking"
    content: str


class PlanStepStarted(Wire):
    type: Literal["step_started"] = "step_started"
    step: str
    message: str


class PlanStepCompleted(Wire):
    type: Literal["step_completed"] = "step_completed"
    step: str
    duration_ms: int


class PlanComplete(Wire):
    """The last event of a plan that was made."""

    type: Literal["complete"] = "complete"
    plan: Plan


class PlanFailed(Wire):
    """The last event where no plan could be made: a problem, as an answer would carry it."""

    type: Literal["error"] = "error"
    error: str
    code: str
    status: int
    fix: str | None = None


PlanEvent = PlanProgress | PlanThinking | PlanStepStarted | PlanStepCompleted | PlanComplete | PlanFailed
_PLAN_EVENT: TypeAdapter[PlanEvent] = TypeAdapter(Annotated[PlanEvent, Field(discriminator="type")])
_TYPES = frozenset({"progress", "thinking", "step_started", "step_completed", "complete", "error"})


def plan_event(event_type: str, data: dict[str, Any]) -> PlanEvent | None:
    """The event that `data` tells of; None for a type that this version does not know, as `tool_call`.

    Raises:
        pydantic.ValidationError: the type is known and its fields are wrong.
    """
    return _PLAN_EVENT.validate_python({**data, "type": event_type}) if event_type in _TYPES else None
