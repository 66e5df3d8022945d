"""Members' runs: stored for a team's run, which starts each as a child workflow of its own.

What they run with was settled when the team's run was submitted. Nobody else starts them; one whose team's run is over
before it began is closed by the reconciler.
"""

from datetime import UTC, datetime

from kubiya_workers.agent.limits import tighter
from kubiya_workers.contracts.errors import Conflict, Invalid
from kubiya_workers.contracts.executions import Execution, RunStart, Status
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.keys import Caller
from kubiya_workers.contracts.teams import Delegation, Member

from ..store.executions import StoredRun
from .executions import Executions, check_prompt, named
from .recording import check_queue
from .secrecy import refuse_secrets


async def delegate(executions: Executions, caller: Caller, team_run: ExecutionId, wanted: Delegation) -> RunStart:
    """The member's run of a step, stored; asked for again, it is the same one.

    Raises:
        NotFound, Forbidden: no such run, or not of the worker's queue.
        Conflict: the team's run is over, or the member's own was cancelled before it began.
        Invalid: it has no such member, or the task is blank, too long, or holds a secret.
        BudgetExhausted: nothing is left of the budget of the key that submitted it.
    """
    team = await executions.stored(team_run)
    check_queue(caller, team.execution.worker_queue_id)
    run_id = _run_id(team_run, wanted.step)
    if await executions.find(run_id) is not None:
        return await _known(executions, run_id)
    if team.execution.status.is_terminal:
        raise Conflict(f"execution {team_run} is {team.execution.status}")
    check_prompt(wanted.task)
    member = _named(team, wanted.member)
    refuse_secrets(member.workspace, {"the task": wanted.task})
    run = RunStart(
        execution_id=run_id,
        agent=member.agent.model_copy(update={"limits": tighter(member.agent.limits, wanted.limits)}),
        prompt=wanted.task,
        priority=team.run_start.priority,
        has_secrets=bool(member.workspace.secrets),
        has_budget=await executions.has_budget(team.execution.key_id),
    )
    try:
        await executions.insert(_stored(team, member, run))
    except Conflict:  # by another attempt, at this moment
        return await _known(executions, run_id)
    return run


async def _known(executions: Executions, run_id: ExecutionId) -> RunStart:
    stored = await executions.stored(run_id)
    if stored.execution.status.is_terminal:  # by a person, before it began
        raise Conflict(f"execution {run_id} is {stored.execution.status}")
    return stored.run_start


def _run_id(team_run: ExecutionId, step: int) -> ExecutionId:
    return named(f"kubiya:delegation:{team_run}:{step}")


def _named(team: StoredRun, name: str) -> Member:
    found = next((member for member in team.members if member.name == name), None)
    if found is None:
        names = ", ".join(member.name for member in team.members) or "none"
        raise Invalid(f"execution {team.execution.id} has no member {name!r}; its members: {names}")
    return found


def _stored(team: StoredRun, member: Member, run: RunStart) -> StoredRun:
    now = datetime.now(UTC)
    execution = Execution(
        id=run.execution_id,
        execution_id=run.execution_id,
        entity_id=member.agent_id,
        entity_name=member.name,
        prompt=run.prompt,
        system_prompt=run.agent.system_prompt or None,
        status=Status.PENDING,
        status_reason="its team's run, to start it",
        model=run.agent.model,
        worker_queue_id=team.execution.worker_queue_id,
        parent_execution_id=team.execution.id,
        team_name=team.execution.team_name,
        key_id=team.execution.key_id,
        created_at=now,
        updated_at=now,
    )
    return StoredRun(execution, member.workspace, run, team.task_queue_name)
