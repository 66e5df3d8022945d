"""One plan: begun, where it may still be refused, then made, while whoever wants to hear of it is told."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from kubiya_workers.contracts.activities import ModelCall, ModelReply
from kubiya_workers.contracts.errors import Invalid, ModelFailed
from kubiya_workers.contracts.ids import ExecutionId, new_id
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.contracts.messages import Message
from kubiya_workers.contracts.models import OFFLINE_MODEL
from kubiya_workers.contracts.plans import (
    NewPlan,
    Plan,
    PlanEvent,
    PlanProgress,
    PlanStepCompleted,
    PlanStepStarted,
    PlanThinking,
)
from kubiya_workers.contracts.wire import JsonObject

from ..services.executions import check_prompt
from ..services.models import Models
from ..services.usage import Budgets
from ..store.database import Database
from .candidates import Candidates, gathered
from .draft import Unusable, read
from .question import opening, repair, schema_for
from .settling import Facts, settled, without_model

TIME_LIMIT_S = 120.0
"""For all that a model takes for one plan."""

Tell = Callable[[PlanEvent], None]
OnText = Callable[[Literal["message", "reasoning"], str], None]


class SchemaRefused(ModelFailed):
    """The model's server does not take a schema for its answer."""


class Ask(Protocol):
    """One model call, as the caller's own: admitted and metered as theirs, stopped when it is cancelled.

    Raises `ModelFailed` when no answer came, `SchemaRefused` where a call without a schema may bring one.
    """

    def __call__(self, caller: Caller, call: ModelCall, on_text: OnText) -> Awaitable[ModelReply]: ...


class Planner:
    """Makes plans; one a process. Times in seconds."""

    def __init__(self, database: Database, models: Models, ask: Ask, *, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._database = database
        self._models = models
        self._budgets = Budgets(database)
        self._ask = ask
        self._time_limit_s = time_limit_s

    async def begin(self, caller: Caller, new: NewPlan) -> "Planning":
        """Settle what there is to choose from, and who is asked.

        Raises:
            Invalid: the prompt is blank or too long, or there is no such model.
            NotFound: what was named is not there.
            BudgetExhausted: nothing is left of the budget of the caller's key.
        """
        check_prompt(new.prompt)
        await self._budgets.check(caller.key_id)
        if new.model is not None and not await self._models.knows(new.model):
            raise _no_such_model(new.model, self._models.nearest(new.model))
        candidates = await gathered(self._database, new)
        await self._models.list()  # until the gateway has looked, it does not know its default
        default = self._models.default()
        facts = Facts(
            plan_id=new_id(),
            planner=new.model or default,
            now=datetime.now(UTC),
            default_model=default,
            price_of=self._models.price_of,
            execution_model=new.execution_model,
            queue_is_named=new.worker_queue_id is not None,
            environment_is_named=new.environment_id is not None,
        )
        return Planning(caller, new.prompt, candidates, facts, self._ask, self._time_limit_s)


@dataclass(frozen=True)
class Planning:
    """A plan that is to be made."""

    caller: Caller
    prompt: str
    candidates: Candidates
    facts: Facts
    ask: Ask
    time_limit_s: float

    async def plan(self, tell: Tell) -> Plan:
        """Make it; cancel this to stop the model.

        Raises:
            ModelFailed: the model gave no answer, none in time, or twice one that is no plan.
        """
        tell(PlanProgress(message=self._said_of_candidates()))
        if self.facts.planner == OFFLINE_MODEL:
            tell(PlanProgress(message=f"{OFFLINE_MODEL} is no intelligence: this plan is the same for every prompt"))
            return without_model(self.candidates, self.facts)
        try:
            async with asyncio.timeout(self.time_limit_s):
                return await self._asked(tell)
        except TimeoutError:
            raise ModelFailed(
                f"{self.facts.planner} made no plan within {self.time_limit_s:g} seconds", fix=_ANOTHER
            ) from None

    async def _asked(self, tell: Tell) -> Plan:
        schema = schema_for(self.candidates)
        asked = opening(self.prompt, self.candidates, schema)
        with _step(tell, "plan", f"Asking {self.facts.planner} for a plan"):
            answer, schema = await self._first_answer(asked, schema, tell)
        try:
            return settled(read(answer), self.candidates, self.facts)
        except Unusable as why:
            first = why
        tell(PlanProgress(message=f"The answer cannot be used ({first}): it is asked once more"))
        with _step(tell, "repair", f"Asking {self.facts.planner} to mend its answer"):
            answer = await self._answer(2, repair(asked, answer, first), schema, tell)
        try:
            return settled(read(answer), self.candidates, self.facts)
        except Unusable as why:
            raise ModelFailed(
                f"{self.facts.planner} gave no plan that can be used, twice; at last: {why}", fix=_ANOTHER
            ) from None

    async def _first_answer(
        self, asked: tuple[Message, ...], schema: JsonObject, tell: Tell
    ) -> tuple[str, JsonObject | None]:
        """With the schema that further calls can have: many servers take none, but the instructions hold it too."""
        try:
            return await self._answer(1, asked, schema, tell), schema
        except SchemaRefused:
            tell(PlanProgress(message=f"{self.facts.planner} takes no schema: it is asked without one"))
            return await self._answer(1, asked, None, tell), None

    async def _answer(self, step: int, asked: tuple[Message, ...], schema: JsonObject | None, tell: Tell) -> str:
        def on_text(kind: Literal["message", "reasoning"], text: str) -> None:
            if kind == "reasoning":
                tell(PlanThinking(content=text))

        call = ModelCall(
            execution_id=ExecutionId(self.facts.plan_id),  # a call of no execution: this only names it
            step=step,
            model=self.facts.planner,
            messages=asked,
            answer_schema=schema,
        )
        return (await self.ask(self.caller, call, on_text)).message.content

    def _said_of_candidates(self) -> str:
        found = self.candidates
        said = f"{_count(len(found.agents), 'agent')}, {_count(len(found.queues), 'queue')} to choose from"
        return said + (f"; {found.left_out} more agents are not looked at" if found.left_out else "")


_ANOTHER = "Ask another model: kubiya plan create --model NAME. Or run the prompt without a plan."


def _no_such_model(name: str, nearest: Sequence[str]) -> Invalid:
    meant = f"Did you mean {' or '.join(nearest)}? " if nearest else ""
    return Invalid(f"there is no model {name!r} to plan with", fix=f"{meant}`kubiya model list` shows those there are.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@contextmanager
def _step(tell: Tell, step: str, message: str) -> Generator[None]:
    """Told when it begins and when it has gone well."""
    began = time.perf_counter()
    tell(PlanStepStarted(step=step, message=message))
    yield
    tell(PlanStepCompleted(step=step, duration_ms=round((time.perf_counter() - began) * 1000)))
