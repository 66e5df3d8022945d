"""`kubiya environment`."""

import click

from kubiya_workers.contracts.agents import ExecutionEnvironment
from kubiya_workers.contracts.environments import Environment, NewEnvironment

from .. import talk
from ..ages import age
from ..connect import ask
from ..output import Format, details, output_option, show, show_list
from .paging import paged
from .words import confirm, made, pairs

_HEADS = ("ID", "NAME", "STATUS", "AGE", "DESCRIPTION")


@click.group("environment")
def group() -> None:
    """Variables and queues that belong together. An environment is named by its id or its name."""


@group.command("list")
@paged
@output_option
def list_(output: Format, skip: int, limit: int) -> None:
    """List environments."""
    found = ask(lambda cp: cp.environments.list(skip=skip, limit=limit))
    show_list(found, output, _HEADS, _row, none="No environments.")


@group.command()
@click.argument("environment")
@output_option
def get(environment: str, output: Format) -> None:
    """Show one environment."""
    show(ask(lambda cp: cp.environments.get(environment)), output, _text)


@group.command()
@click.argument("name")
@click.option("--description", help="What it is for.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for its tools; repeatable.")
@output_option
def create(output: Format, name: str, description: str | None, variables: tuple[str, ...]) -> None:
    """Create an environment."""
    given = pairs(variables, "--env")
    tools = ExecutionEnvironment(env_vars=given) if given else None
    new = made(NewEnvironment, name=name, description=description, execution_environment=tools)
    show(ask(lambda cp: cp.environments.create(new)), output, _text)


@group.command()
@click.argument("environment")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(environment: str, yes: bool) -> None:
    """Delete an environment."""
    confirm(f"Delete environment {environment}?", yes=yes)
    ask(lambda cp: cp.environments.delete(environment))
    talk.say(f"Deleted environment {environment}.")


def _row(environment: Environment) -> tuple[object, ...]:
    return (environment.id, environment.name, environment.status, age(environment.created_at), environment.description)


def _text(environment: Environment) -> str:
    tools = environment.execution_environment
    return details(
        (
            ("ID", environment.id),
            ("Name", environment.name),
            ("Description", environment.description),
            ("Status", environment.status),
            ("Variables", sorted(tools.env_vars) if tools else None),
            ("MCP servers", sorted(tools.mcp_servers) if tools else None),
            ("Settings", environment.settings),
            ("Created", environment.created_at.isoformat()),
        )
    )
