"""`kubiya skill`."""

import click

from kubiya_workers.contracts.skills import NewSkill, Skill, SkillDefinition

from .. import talk
from ..connect import ask
from ..output import Format, details, output_option, show, show_list
from .paging import paged
from .words import confirm, json_object, made

_HEADS = ("ID", "NAME", "TYPE", "ENABLED", "BUILT IN", "DESCRIPTION")


@click.group("skill")
def group() -> None:
    """Skills: bundles of tools with limits. A skill is named by its id or its name.

    \b
    kubiya skill list
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
@click.argument("skill")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(skill: str, yes: bool) -> None:
    """Delete a skill."""
    confirm(f"Delete skill {skill}?", yes=yes)
    ask(lambda cp: cp.skills.delete(skill))
    talk.say(f"Deleted skill {skill}.")


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
