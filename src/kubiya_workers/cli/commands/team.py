"""`kubiya team`."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.teams import NewTeam, Team, TeamPatch

from .. import talk
from ..ages import age
from ..connect import ask
from ..output import Format, details, output_option, show, show_list
from . import words
from .paging import paged
from .words import confirm, json_object, made

_HEADS = ("ID", "NAME", "MODEL", "MEMBERS", "AGE", "DESCRIPTION")
_SHOWN_AGENTS = 1000


@click.group("team")
def group() -> None:
    """Teams: agents that work on one prompt together.

    A coordinator with the team's own instructions gives its members tasks, several at once where it asks for them so,
    and answers. Each task is a run of the member's own. A team is named by its id or its name.

    \b
    kubiya team create --name release --member writer --member checker
    kubiya exec team release 'Write and check the notes of 1.4'
    """


@group.command("list")
@paged
@output_option
def list_(output: Format, skip: int, limit: int) -> None:
    """List teams."""
    show_list(ask(lambda cp: cp.teams.list(skip=skip, limit=limit)), output, _HEADS, _row, none="No teams.")


@group.command()
@click.argument("team")
@output_option
def get(team: str, output: Format) -> None:
    """Show one team."""
    _show(output, lambda cp: cp.teams.get(team))


@group.command()
@click.option("--name", required=True, help="The name of the team, unique.")
@click.option("--description", help="What it is for.")
@click.option("--member", "members", multiple=True, required=True, help="An agent, by name or id; may be repeated.")
@click.option("--system-prompt", help="What its coordinator is told before every prompt.")
@click.option("--system-prompt-file", type=click.Path(path_type=Path), help="A file that holds the system prompt.")
@click.option("--model", help="The model of its coordinator, and of members that name none.")
@click.option("--config", help="A JSON object of further configuration, or @FILE.")
@output_option
def create(
    output: Format,
    name: str,
    description: str | None,
    members: tuple[str, ...],
    system_prompt: str | None,
    system_prompt_file: Path | None,
    model: str | None,
    config: str | None,
) -> None:
    """Create a team of agents.

    \b
    kubiya team create --name release --member writer --member checker
    kubiya team create --name ops --member db --member web --config '{"limits": {"max_cost_usd": 2}}'
    """
    new = made(
        NewTeam,
        name=name,
        description=description,
        members=members,
        system_prompt=words.system_prompt(system_prompt, system_prompt_file),
        model_id=model,
        configuration=json_object(config, "--config"),
    )
    _show(output, lambda cp: cp.teams.create(new))


@group.command()
@click.argument("team")
@click.option("--name", help="A new name.")
@click.option("--description", help="A new description.")
@click.option("--member", "members", multiple=True, help="The members it has from now on; may be repeated.")
@click.option("--system-prompt", help="A new system prompt.")
@click.option("--system-prompt-file", type=click.Path(path_type=Path), help="A file that holds the new system prompt.")
@click.option("--model", help="Another model.")
@click.option("--config", help="A JSON object that replaces the configuration, or @FILE.")
@output_option
def update(
    output: Format,
    team: str,
    name: str | None,
    description: str | None,
    members: tuple[str, ...],
    system_prompt: str | None,
    system_prompt_file: Path | None,
    model: str | None,
    config: str | None,
) -> None:
    """Change a team; what is not named stays as it is. Runs that have begun are not touched."""
    patch = made(
        TeamPatch,
        name=name,
        description=description,
        members=members or None,
        system_prompt=words.system_prompt(system_prompt, system_prompt_file),
        model_id=model,
        configuration=None if config is None else json_object(config, "--config"),
    )
    if not patch.changes():
        raise click.UsageError("Say what to change.")
    _show(output, lambda cp: cp.teams.edit(team, patch))


@group.command()
@click.argument("team")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(team: str, yes: bool) -> None:
    """Delete a team. Its members and its runs stay."""
    confirm(f"Delete team {team}?", yes=yes)
    ask(lambda cp: cp.teams.delete(team))
    talk.say(f"Deleted team {team}.")


def _show(output: Format, wanted: Callable[[ControlPlaneClient], Awaitable[Team]]) -> None:
    """One team; to people with the names of its members."""

    async def found(cp: ControlPlaneClient) -> tuple[Team, dict[str, str]]:
        team = await wanted(cp)
        agents = await cp.agents.list(limit=_SHOWN_AGENTS) if output is Format.TEXT else []
        return team, {agent.id: agent.name for agent in agents}

    team, names = ask(found)
    show(team, output, lambda team: _text(team, names))


def _row(team: Team) -> tuple[object, ...]:
    members = len(team.members)
    return (team.id, team.name, team.model_id or "(default)", members, age(team.created_at), team.description)


def _text(team: Team, names: dict[str, str]) -> str:
    return details(
        (
            ("ID", team.id),
            ("Name", team.name),
            ("Description", team.description),
            ("Status", team.status),
            ("Model", team.model_id or "(the control plane's default)"),
            ("Members", [names.get(member, member) for member in team.members]),
            ("Environments", team.environment_ids),
            ("Configuration", team.configuration),
            ("System prompt", team.system_prompt),
            ("Created", team.created_at.isoformat()),
            ("Updated", team.updated_at.isoformat()),
        )
    )
