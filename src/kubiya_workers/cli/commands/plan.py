"""`kubiya plan`."""

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.plans import NewPlan, SavedPlan

from .. import talk
from ..ages import age
from ..connect import ask, settings
from ..output import Format, output_option, show, show_list
from ..plan_files import PlanFile, PlanFiles
from ..planned_run import make
from ..render.neutral import one_line
from ..render.plans import plan_text
from .words import confirm, given_prompt

_HEADS = ("ID", "STATE", "WHO", "COST", "AGE", "TITLE")


@click.group("plan")
def group() -> None:
    """Plans: who would run a prompt, where, in which steps, at what cost. They are kept in ~/.kubiya/plans.

    \b
    kubiya plan create 'Upgrade the staging database'
    kubiya plan approve ID
    kubiya exec --plan-file ID
    """


@group.command()
@click.argument("words", nargs=-1, metavar="PROMPT…")
@click.option("--agent", help="The agent, by name or id, where the planner is not to choose.")
@click.option("--team", help="The team, by name or id, where the planner is not to choose.")
@click.option("--queue", metavar="ID", help="The queue, by id or name, where the planner is not to choose.")
@click.option("--environment", metavar="NAME", help="The environment, where the planner is not to choose.")
@click.option("--model", help="The model that plans; without one, the control plane's default.")
@click.option("-v", "--verbose", is_flag=True, help="The model's reasoning, as it comes.")
@output_option
def create(
    words: tuple[str, ...],
    output: Format,
    agent: str | None,
    team: str | None,
    queue: str | None,
    environment: str | None,
    model: str | None,
    verbose: bool,
) -> None:
    """Ask a model for a plan, and keep it. Nothing is run.

    With `-` as the prompt, or none and a pipe, the prompt is read from stdin. The call is one of your key, with its
    usage and budget.
    """
    new = NewPlan(
        prompt=given_prompt(" ".join(words), words),
        agent=agent,
        team=team,
        worker_queue_id=queue,
        environment_id=environment,
        model=model,
    )
    files = _files()

    async def made(cp: ControlPlaneClient) -> PlanFile:
        return await make(cp, files, new, verbose=verbose)

    file = ask(made)
    show(file.saved, output, plan_text)
    talk.note(f"Run it: kubiya exec --plan-file {file.saved.plan.plan_id}")


@group.command("list")
@output_option
def list_(output: Format) -> None:
    """List the plans of this home, newest first."""
    show_list(_files().list(talk.note), output, _HEADS, _row, none="No plans.")


@group.command()
@click.argument("plan_id", metavar="ID")
@output_option
def get(plan_id: str, output: Format) -> None:
    """Show one plan."""
    show(_files().named(plan_id).saved, output, plan_text)


@group.command()
@click.argument("plan_id", metavar="ID")
def approve(plan_id: str) -> None:
    """Agree to a plan: `kubiya exec --plan-file ID` runs it then without asking."""
    file = _files().named(plan_id)
    file.approve()
    talk.say(f"Approved plan {plan_id}.")


@group.command()
@click.argument("plan_id", metavar="ID")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(plan_id: str, yes: bool) -> None:
    """Delete a plan. Its run, if it had one, stays."""
    path = _files().path(plan_id)
    confirm(f"Delete plan {plan_id}?", yes=yes)
    path.unlink()
    talk.say(f"Deleted plan {plan_id}.")


def _files() -> PlanFiles:
    return PlanFiles(settings().paths.plans)


def _row(saved: SavedPlan) -> tuple[object, ...]:
    plan, cost = saved.plan, saved.plan.cost_estimate.estimated_cost_usd
    return (
        plan.plan_id,
        _state(saved),
        plan.recommended_execution.entity_name,
        None if cost is None else f"${cost:.4f}",
        age(saved.saved_at),
        one_line(plan.title, 60),
    )


def _state(saved: SavedPlan) -> str:
    if saved.executed_at is not None:
        return "executed"
    return "approved" if saved.approved else "new"
