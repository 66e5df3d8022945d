"""`kubiya agent`."""

from pathlib import Path
from typing import Any

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.agents import Agent, AgentPatch, ExecutionEnvironment, NewAgent

from .. import talk
from ..ages import age
from ..connect import ask
from ..output import Format, details, output_option, show, show_list
from . import words
from .paging import paged
from .words import confirm, json_object, made, mcp_servers

_HEADS = ("ID", "NAME", "MODEL", "SKILLS", "AGE", "DESCRIPTION")


@click.group("agent")
def group() -> None:
    """Agents: who runs a prompt, with which model and skills.

    An agent is named by its id or its name.

    \b
    kubiya agent create --name ops --system-prompt "You keep servers healthy." --skill shell
    kubiya exec --agent ops 'Run `uptime`'
    """


@group.command("list")
@paged
@output_option
def list_(output: Format, skip: int, limit: int) -> None:
    """List agents."""
    show_list(ask(lambda cp: cp.agents.list(skip=skip, limit=limit)), output, _HEADS, _row, none="No agents.")


@group.command()
@click.argument("agent")
@output_option
def get(agent: str, output: Format) -> None:
    """Show one agent."""
    show(ask(lambda cp: cp.agents.get(agent)), output, _text)


@group.command()
@click.option("--name", required=True, help="The name of the agent, unique.")
@click.option("--description", help="What it is for.")
@click.option("--system-prompt", help="What it is told before every prompt.")
@click.option("--system-prompt-file", type=click.Path(path_type=Path), help="A file that holds the system prompt.")
@click.option("--model", help="The model it uses; without one, the control plane's default.")
@click.option("--skill", "skills", multiple=True, help="A skill, by name or id; may be repeated.")
@click.option("--mcp-servers", "servers", metavar="JSON|@FILE", help="MCP servers whose tools it gets, by name.")
@click.option("--config", help="A JSON object of further configuration, or @FILE.")
@output_option
def create(
    output: Format,
    name: str,
    description: str | None,
    system_prompt: str | None,
    system_prompt_file: Path | None,
    model: str | None,
    skills: tuple[str, ...],
    servers: str | None,
    config: str | None,
) -> None:
    """Create an agent.

    \b
    kubiya agent create --name ops --system-prompt "You keep servers healthy." --skill shell
    """
    new = made(
        NewAgent,
        name=name,
        description=description,
        system_prompt=words.system_prompt(system_prompt, system_prompt_file),
        model_id=model,
        skill_ids=skills,
        configuration=json_object(config, "--config"),
        execution_environment=ExecutionEnvironment(mcp_servers=mcp_servers(servers)) if servers else None,
    )
    show(ask(lambda cp: cp.agents.create(new)), output, _text)


@group.command()
@click.argument("agent")
@click.option("--name", help="A new name.")
@click.option("--description", help="A new description.")
@click.option("--system-prompt", help="A new system prompt.")
@click.option("--system-prompt-file", type=click.Path(path_type=Path), help="A file that holds the new system prompt.")
@click.option("--model", help="Another model.")
@click.option("--skill", "skills", multiple=True, help="The skills it has from now on; may be repeated.")
@click.option(
    "--mcp-servers", "servers", metavar="JSON|@FILE", help="The MCP servers it has from now on, by name; {} is none."
)
@click.option("--config", help="A JSON object that replaces the configuration, or @FILE.")
@output_option
def update(
    output: Format,
    agent: str,
    name: str | None,
    description: str | None,
    system_prompt: str | None,
    system_prompt_file: Path | None,
    model: str | None,
    skills: tuple[str, ...],
    servers: str | None,
    config: str | None,
) -> None:
    """Change an agent; what is not named stays as it is. Runs that have begun are not touched."""
    patch = made(
        AgentPatch,
        name=name,
        description=description,
        system_prompt=words.system_prompt(system_prompt, system_prompt_file),
        model_id=model,
        skill_ids=skills or None,
        configuration=None if config is None else json_object(config, "--config"),
    )
    if not patch.changes() and servers is None:
        raise click.UsageError("Say what to change.")
    wanted = None if servers is None else mcp_servers(servers)
    show(ask(lambda cp: _update(cp, agent, patch, wanted)), output, _text)


async def _update(cp: ControlPlaneClient, agent: str, patch: AgentPatch, servers: dict[str, Any] | None) -> Agent:
    """With other MCP servers, where they are given; the rest of what its tools run in stays."""
    if servers is not None:
        around = (await cp.agents.get(agent)).execution_environment or ExecutionEnvironment()
        changed = around.model_copy(update={"mcp_servers": servers})
        patch = patch.model_copy(update={"execution_environment": changed})
    return await cp.agents.edit(agent, patch)


@group.command()
@click.argument("agent")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(agent: str, yes: bool) -> None:
    """Delete an agent. Its runs stay."""
    confirm(f"Delete agent {agent}?", yes=yes)
    ask(lambda cp: cp.agents.delete(agent))
    talk.say(f"Deleted agent {agent}.")


def _row(agent: Agent) -> tuple[object, ...]:
    skills = len(agent.skill_ids)
    return (agent.id, agent.name, agent.model_id or "(default)", skills, age(agent.created_at), agent.description)


def _text(agent: Agent) -> str:
    around = agent.execution_environment
    return details(
        (
            ("ID", agent.id),
            ("Name", agent.name),
            ("Description", agent.description),
            ("Status", agent.status),
            ("Model", agent.model_id or "(the control plane's default)"),
            ("Skills", agent.skill_ids),
            ("Environments", agent.environment_ids),
            ("MCP servers", sorted(around.mcp_servers) if around else None),
            ("Configuration", agent.configuration),
            ("System prompt", agent.system_prompt),
            ("Created", agent.created_at.isoformat()),
            ("Updated", agent.updated_at.isoformat()),
        )
    )
