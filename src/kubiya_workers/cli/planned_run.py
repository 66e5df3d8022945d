"""`exec` by a plan: made first, or saved before; what the user named wins over what it recommends.

What runs is the user's prompt, as it was written: the plan says who runs it and where.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.contracts.plans import NewPlan, Plan, SavedPlan

from . import talk
from .plan_files import PlanFile, PlanFiles
from .render.plans import PlanTalk, plan_text
from .render.screen import screen
from .run_request import RunRequest, WantedPlan, Who


async def make(cp: ControlPlaneClient, files: PlanFiles, new: NewPlan, *, verbose: bool) -> PlanFile:
    """A plan that was made now, and kept; what happens on the way is told on stderr."""
    shown = PlanTalk(screen(), verbose=verbose)
    try:
        plan = await cp.plans.make(new, shown.event)
    finally:
        shown.close()
    return files.save(plan, new.prompt)


async def by_plan(cp: ControlPlaneClient, request: RunRequest, wanted: WantedPlan, directory: Path) -> RunRequest:
    """The request with what its plan recommends. A plan that is asked about, or was made now, is shown first; one that
    was made now is kept in `directory`.

    Raises:
        NotFound: its agent or team is gone.
    """
    file = wanted.file or await make(cp, PlanFiles(directory), _asked(request, wanted), verbose=request.verbose)
    planned = _merged(request, wanted, file)
    await _check_who(cp, planned.who, file.saved.plan)
    if wanted.file is None or request.ask_first:
        talk.say(plan_text(file.saved))
    return planned


def _asked(request: RunRequest, wanted: WantedPlan) -> NewPlan:
    new = request.new
    return NewPlan(
        prompt=new.prompt,
        agent=wanted.who.ref if wanted.who and wanted.who.kind == "agent" else None,
        team=wanted.who.ref if wanted.who and wanted.who.kind == "team" else None,
        worker_queue_id=new.worker_queue_id,
        environment_id=request.environment,
        execution_model=new.model,
    )


def _merged(request: RunRequest, wanted: WantedPlan, file: PlanFile) -> RunRequest:
    chosen, new = file.saved.plan.recommended_execution, request.new
    queue, environment = new.worker_queue_id, request.environment
    if queue is None and environment is None:
        environment = chosen.recommended_environment_id
        # A local run, and one whose worker is to be kept, has a queue of its own.
        alone = request.local or new.keep_on_failure
        queue = None if alone else chosen.recommended_worker_queue_id
    return replace(
        request,
        who=wanted.who or Who(chosen.entity_type, chosen.entity_id),
        new=new.model_copy(update={"worker_queue_id": queue}),
        environment=environment,
        plan_file=file,
        idempotency_key=None if wanted.again else _once(file.saved),
    )


def _once(saved: SavedPlan) -> str:
    """Names the one run of a plan: submitted twice, as by two commands at once, or by one that was killed before it
    could write the run down, it is the same run."""
    named = f"{saved.plan.plan_id} {saved.saved_at.isoformat()} {saved.prompt}"
    return f"plan-{hashlib.sha256(named.encode()).hexdigest()}"


async def _check_who(cp: ControlPlaneClient, who: Who, plan: Plan) -> None:
    try:
        await (cp.teams.get(who.ref) if who.kind == "team" else cp.agents.get(who.ref))
    except NotFound:
        if who.ref != plan.recommended_execution.entity_id:
            raise
        raise NotFound(
            f"the plan's {who.kind} {plan.recommended_execution.entity_name!r} is gone",
            fix="Plan anew, or name somebody else: --agent NAME",
        ) from None
