"""`kubiya skill`."""

from collections.abc import Sequence

import click

from kubiya_workers.agent import mcp
from kubiya_workers.agent.skills import tools_for
from kubiya_workers.contracts.mcp import MCP, McpServer
from kubiya_workers.contracts.skills import NewSkill, Skill, SkillDefinition
from kubiya_workers.contracts.tools import ToolSpec

from .. import talk
from ..connect import ask
from ..exit import Failed
from ..output import Format, details, output_option, show, show_list
from ..running import run
from .paging import paged
from .words import confirm, given_variables, json_object, made

_TOOL_HEADS = ("TOOL", "CLASS", "APPROVAL", "DESCRIPTION")
_HEADS = ("ID", "NAME", "TYPE", "ENABLED", "BUILT IN", "DESCRIPTION")


@click.group("skill")
def group() -> None:
    """Skills: bundles of tools with limits. A skill is named by its id or its name.

    \b
    kubiya skill list
    kubiya skill tools git-only
    kubiya skill create --name git-only --type shell --config '{"allow": ["git"]}'
    """


@group.command("list")
@paged
@output_option
def list_(output: Format, skip: int, limit: int) -> None:
    """List skills."""
    show_list(ask(lambda cp: cp.skills.list(skip=skip, limit=limit)), output, _HEADS, _row, none="No skills.")


@group.command()
@output_option
def types(output: Format) -> None:
    """List the types of skills, with their tools."""
    heads = ("TYPE", "TOOLS", "CONFIGURATION", "DESCRIPTION")
    show_list(ask(lambda cp: cp.skills.definitions()), output, heads, _type_row, none="No types.")


@group.command()
@click.argument("skill")
@output_option
def get(skill: str, output: Format) -> None:
    """Show one skill."""
    show(ask(lambda cp: cp.skills.get(skill)), output, _text)


@group.command()
@click.option("--name", required=True, help="The name of the skill, unique.")
@click.option("--type", "type_", required=True, help="Its type; `kubiya skill types` lists them.")
@click.option("--description", help="What it is for.")
@click.option("--config", help="Its limits and lists as a JSON object, or @FILE.")
@output_option
def create(output: Format, name: str, type_: str, description: str | None, config: str | None) -> None:
    """Create a skill.

    \b
    kubiya skill create --name git-only --type shell --config '{"allow": ["git"]}'
    """
    configuration = json_object(config, "--config")
    new = made(NewSkill, name=name, type=type_, description=description, configuration=configuration)
    show(ask(lambda cp: cp.skills.create(new)), output, _text)


@group.command()
@click.argument("skill", required=False)
@click.option("--type", "type_", help="Instead of a skill: a type, with --config.")
@click.option("--config", help="The configuration to look at, as a JSON object, or @FILE.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for its server; repeatable.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME", help="A variable of this shell for its server, kept secret."
)
@output_option
def tools(
    output: Format,
    skill: str | None,
    type_: str | None,
    config: str | None,
    variables: tuple[str, ...],
    secrets: tuple[str, ...],
) -> None:
    """List the tools of a skill, or of one that is yet to be made.

    The server of a skill of type mcp is started here, in this directory, asked, and ended; nothing is stored.

    \b
    kubiya skill tools git-only
    kubiya skill tools --type mcp --config '{"command": "python", "args": ["notes.py"]}'
    """
    if (skill is None) == (type_ is None) or (type_ is None) != (config is None):
        raise click.UsageError("Name a skill, or give --type and --config.")
    given = given_variables(variables, secrets)
    if skill is not None:
        found = ask(lambda cp: cp.skills.get(skill))
        name, type_, configuration = found.name, found.type, found.configuration
    else:
        name, type_, configuration = "new", str(type_), json_object(config, "--config")
    specs: Sequence[ToolSpec] = tools_for(type_, configuration)
    if type_ == MCP:
        specs = _of_server(mcp.of_skill(name, configuration), given, secrets)
    show_list(specs, output, _TOOL_HEADS, _tool_row, none="No tools.")


@group.command()
@click.argument("skill")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(skill: str, yes: bool) -> None:
    """Delete a skill."""
    confirm(f"Delete skill {skill}?", yes=yes)
    ask(lambda cp: cp.skills.delete(skill))
    talk.say(f"Deleted skill {skill}.")


def _of_server(server: McpServer, given: dict[str, str], secrets: tuple[str, ...]) -> Sequence[ToolSpec]:
    from ..offered import offered

    # A key that it is given is taken out of what it says, whether it was called a secret or not.
    hidden = tuple({*secrets, *mcp.secret_variables(server)})
    listed = run(offered(server, given, hidden))
    for note in listed.notes:
        talk.say(note)
    if listed.faults:
        raise Failed(
            f"MCP server {server.name!r}: {listed.faults[0].reason}",
            fix="Give it what it refers to with --env NAME=VALUE or --secret NAME, and start its command by hand.",
        )
    return listed.tools


def _tool_row(tool: ToolSpec) -> tuple[object, ...]:
    return (tool.name, tool.tool_class, tool.approval, tool.description.partition("\n")[0][:100])


def _row(skill: Skill) -> tuple[object, ...]:
    return (skill.id, skill.name, skill.type, skill.enabled, skill.built_in, skill.description)


def _type_row(kind: SkillDefinition) -> tuple[object, ...]:
    keys = list(kind.configuration_schema.get("properties", {}))
    return (kind.type, [tool.name for tool in kind.tools], keys, kind.description)


def _text(skill: Skill) -> str:
    return details(
        (
            ("ID", skill.id),
            ("Name", skill.name),
            ("Type", skill.type),
            ("Description", skill.description),
            ("Enabled", skill.enabled),
            ("Built in", skill.built_in),
            ("Configuration", skill.configuration),
            ("Created", skill.created_at.isoformat()),
        )
    )
