"""From a draft to a plan: decisions only. Nothing of a model's choice is taken that is not among the candidates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kubiya_workers.contracts.agents import DEFAULT_AGENT, Agent
from kubiya_workers.contracts.environments import Environment
from kubiya_workers.contracts.messages import Price, Usage
from kubiya_workers.contracts.models import OFFLINE_MODEL
from kubiya_workers.contracts.plans import (
    Complexity,
    CostEstimate,
    ModelCost,
    Plan,
    PlannedTask,
    Recommendation,
    Share,
)
from kubiya_workers.contracts.queues import Queue
from kubiya_workers.contracts.teams import Team

from .candidates import Candidates, among
from .draft import DraftStep, PlanDraft, Unusable

_NAMES_SHOWN = 20


@dataclass(frozen=True)
class Facts:
    """What of a plan is ours: its name, who made it and when, and what models cost."""

    plan_id: str
    planner: str
    now: datetime
    default_model: str
    price_of: Callable[[str], Price | None]
    execution_model: str | None = None
    """The user's choice for the run."""
    queue_is_named: bool = False
    environment_is_named: bool = False
    """The user has chosen it: there is one candidate."""


@dataclass(frozen=True)
class _Place:
    queue: Queue | None = None
    environment: Environment | None = None
    notes: tuple[str, ...] = field(default=())


def settled(draft: PlanDraft, candidates: Candidates, facts: Facts) -> Plan:
    """The plan of a draft.

    An unknown queue or environment is left out, with a note: the control plane chooses then.

    Raises:
        Unusable: it recommends nobody, or an agent or team that is not there.
    """
    who = _who(draft, candidates)
    place = _place(draft, candidates, facts)
    cost = _cost(who, draft.estimated_input_tokens, draft.estimated_output_tokens, facts)
    tasks = tuple(
        PlannedTask(id=number, title=step.title, description=step.description)
        for number, step in enumerate(draft.steps, start=1)
    )
    return Plan(
        plan_id=facts.plan_id,
        title=draft.title,
        summary=draft.summary,
        complexity=Complexity(
            story_points=draft.story_points, confidence=draft.confidence, reasoning=draft.complexity_reasoning
        ),
        team_breakdown=(Share(agent_id=who.id, agent_name=who.name, tasks=tasks, model_info=cost),),
        recommended_execution=_recommendation(who, place, draft.reasoning),
        cost_estimate=CostEstimate(estimated_cost_usd=cost.total_cost, llm_costs=(cost,)),
        risks=draft.risks,
        prerequisites=draft.prerequisites,
        success_criteria=draft.success_criteria,
        notes=place.notes,
        model=facts.planner,
        created_at=facts.now,
    )


def without_model(candidates: Candidates, facts: Facts) -> Plan:
    """The same for every prompt: that it goes as it is to the default agent, or whom the user has chosen."""
    who = among(candidates.agents, DEFAULT_AGENT) or (*candidates.agents, *candidates.teams)[0]
    facts = replace(facts, price_of=_unknown)  # nobody estimated anything: not even that it costs nothing
    draft = PlanDraft(
        title="(offline plan) Run the prompt as it is",
        summary=f"No model made this plan: {OFFLINE_MODEL} is none. The prompt goes to {who.name}.",
        agent=who.name if isinstance(who, Agent) else None,
        team=who.name if isinstance(who, Team) else None,
        steps=(DraftStep(title="Run the prompt"),),
        story_points=1,
        confidence="low",
        complexity_reasoning="Nobody judged it: this plan is the same for every prompt.",
        estimated_input_tokens=0,
        estimated_output_tokens=0,
    )
    return settled(draft, candidates, facts)


def _who(draft: PlanDraft, candidates: Candidates) -> Agent | Team:
    known: Sequence[Agent | Team] = candidates.teams if draft.team else candidates.agents
    kind, named = ("team", draft.team) if draft.team else ("agent", draft.agent)
    found = among(known, named)
    if found is None:
        names = ", ".join(repr(one.name) for one in known[:_NAMES_SHOWN])
        choice = f"choose one of {names}" if names else "choose an agent"
        raise Unusable(f"{kind}: there is no {kind} {named!r}; {choice}")
    return found


def _unknown(model: str) -> Price | None:
    return None


def _place(draft: PlanDraft, candidates: Candidates, facts: Facts) -> _Place:
    notes: list[str] = []
    queue = candidates.queues[0] if facts.queue_is_named else among(candidates.queues, draft.queue)
    if draft.queue and queue is None:
        notes.append(f"The model recommended worker queue {draft.queue!r}, which is none with a live worker: left out.")
    if queue is not None:  # a queue belongs to one environment, whatever else was recommended
        return _Place(queue, among(candidates.environments, queue.environment_id), tuple(notes))
    if facts.environment_is_named:
        return _Place(None, candidates.environments[0], tuple(notes))
    environment = among(candidates.environments, draft.environment)
    if draft.environment and environment is None:
        notes.append(f"The model recommended environment {draft.environment!r}, which does not exist: left out.")
    return _Place(None, environment, tuple(notes))


def _recommendation(who: Agent | Team, place: _Place, reasoning: str) -> Recommendation:
    queue, environment = place.queue, place.environment
    return Recommendation(
        entity_type="team" if isinstance(who, Team) else "agent",
        entity_id=who.id,
        entity_name=who.name,
        recommended_environment_id=environment.id if environment else None,
        recommended_environment_name=environment.name if environment else None,
        recommended_worker_queue_id=queue.id if queue else None,
        recommended_worker_queue_name=queue.name if queue else None,
        reasoning=reasoning,
    )


def _cost(who: Agent | Team, input_tokens: int, output_tokens: int, facts: Facts) -> ModelCost:
    """By our own price table: a model's sums are not believed."""
    model = facts.execution_model or who.model_id or facts.default_model
    price = facts.price_of(model)
    priced = Usage(input_tokens=input_tokens, output_tokens=output_tokens).priced(price)
    return ModelCost(
        model_id=model,
        estimated_input_tokens=input_tokens,
        estimated_output_tokens=output_tokens,
        total_cost=None if price is None else priced.cost_usd,
    )
