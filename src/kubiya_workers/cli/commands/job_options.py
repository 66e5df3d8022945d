"""What a job is defined by, as options that its commands share."""

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from kubiya_workers.contracts.agents import ExecutionEnvironment
from kubiya_workers.contracts.jobs import DAY_S, ExecutorType, Overlap
from kubiya_workers.settings.quantities import duration
from kubiya_workers.settings.source import Source

from .words import from_file, pairs

_FILE = click.Path(path_type=Path)
_CATCH_UP = duration(0, DAY_S)


@dataclass(frozen=True)
class Defined:
    """The fields that were given, as the API names them; in `changes` None takes one away."""

    changes: dict[str, Any] = field(repr=False)

    @property
    def fields(self) -> dict[str, Any]:
        return {name: value for name, value in self.changes.items() if value is not None}

    @property
    def has_prompt(self) -> bool:
        return "prompt_template" in self.changes


def _catch_up(_: click.Context, __: click.Parameter, word: str | None) -> int | None:
    try:
        return None if word is None else _CATCH_UP(word)
    except ValueError:
        raise click.BadParameter(f"{word!r} is not a time of at most a day, such as 10m or 2h.") from None


_OPTIONS = (
    click.option("--prompt", "prompt_template", metavar="TEXT", help="What to do; {{names}} in it are replaced."),
    click.option("--prompt-file", type=_FILE, help="A file that holds it."),
    click.option("--agent", help="Who does it, by id or name.  [default: the agent default]"),
    click.option("--team", help="The team that does it, by id or name."),
    click.option(
        "--timezone", "cron_timezone", metavar="ZONE", help="Of --cron, such as Europe/Berlin.  [default: UTC]"
    ),
    click.option("--description", help="What it is for."),
    click.option("--system-prompt", help="In place of the agent's own."),
    click.option("--model", help="In place of the agent's own."),
    click.option("--queue", "worker_queue_name", help="Run on this queue, by name."),
    click.option("--environment", "environment_name", help="Run in this environment, by name."),
    click.option("--anywhere", is_flag=True, help="Run on a live worker, or one on demand: the default."),
    click.option("--cwd", metavar="DIR", help="Where its tools work, on the worker's machine."),
    click.option(
        "--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for its tools; repeatable."
    ),
    click.option(
        "--overlap",
        type=click.Choice([kind.value for kind in Overlap]),
        help="When it is due and still runs.  [default: skip for --cron, else allow]",
    ),
    click.option(
        "--catch-up",
        "catch_up_s",
        metavar="TIME",
        callback=_catch_up,
        help="How late one firing is made up for that was missed; 0 for never.  [default: 1h]",
    ),
    click.option("--webhook-secret-file", type=_FILE, help="What its sender signs with, in a file; - for stdin."),
    click.option("--webhook-secret-env", metavar="NAME", help="The variable of this shell that holds it."),
    click.option("--no-webhook-secret", is_flag=True, help="Take deliveries that are not signed."),
)


def definition(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives the command what these options define, as `defined`."""
    own = inspect.signature(_defined).parameters

    @functools.wraps(command)
    def defining(*words: Any, **options: Any) -> Any:
        given = {name: options.pop(name) for name in own}
        return command(*words, defined=_defined(**given), **options)

    for option in reversed(_OPTIONS):
        defining = option(defining)
    return defining


def _defined(
    *,
    prompt_template: str | None,
    prompt_file: Path | None,
    worker_queue_name: str | None,
    environment_name: str | None,
    anywhere: bool,
    cwd: str | None,
    variables: tuple[str, ...],
    webhook_secret_file: Path | None,
    webhook_secret_env: str | None,
    no_webhook_secret: bool,
    agent: str | None,
    team: str | None,
    cron_timezone: str | None,
    description: str | None,
    system_prompt: str | None,
    model: str | None,
    overlap: str | None,
    catch_up_s: int | None,
) -> Defined:
    if prompt_template is not None and prompt_file is not None:
        raise click.UsageError("Give --prompt or --prompt-file, not both.")
    plain = {
        "prompt_template": from_file(prompt_file, str) if prompt_file else prompt_template,
        "cron_timezone": cron_timezone,
        "description": description,
        "system_prompt": system_prompt,
        "model": model,
        "overlap": overlap,
        "catch_up_s": catch_up_s,
    }
    changes: dict[str, Any] = {name: value for name, value in plain.items() if value is not None}
    if cwd is not None or variables:
        tools = ExecutionEnvironment(working_dir=cwd, env_vars=pairs(variables, "--env"))
        changes["execution_environment"] = tools
    changes |= _entity(agent, team)
    changes |= _place(worker_queue_name, environment_name, anywhere)
    return Defined({**changes, **_secret(webhook_secret_file, webhook_secret_env, no_webhook_secret)})


def _entity(agent: str | None, team: str | None) -> dict[str, Any]:
    if agent is not None and team is not None:
        raise click.UsageError("Give --agent or --team, not both.")
    if team is not None:
        return {"entity_type": "team", "entity_id": team}
    return {} if agent is None else {"entity_type": "agent", "entity_id": agent}


def _place(queue: str | None, environment: str | None, anywhere: bool) -> dict[str, Any]:
    if sum((queue is not None, environment is not None, anywhere)) > 1:
        raise click.UsageError("Give one of --queue, --environment and --anywhere.")
    if queue is not None:
        kind = ExecutorType.SPECIFIC_QUEUE
    elif environment is not None:
        kind = ExecutorType.ENVIRONMENT
    elif anywhere:
        kind = ExecutorType.AUTO
    else:
        return {}
    return {"executor_type": kind, "worker_queue_name": queue, "environment_name": environment}


def _secret(file: Path | None, variable: str | None, none: bool) -> dict[str, Any]:
    if sum((file is not None, variable is not None, none)) > 1:
        raise click.UsageError("Give one of --webhook-secret-file, --webhook-secret-env and --no-webhook-secret.")
    if none:
        return {"webhook_secret": None}
    if variable is not None:
        secret = Source.of_process().environ.get(variable, "")
    elif file is not None:
        secret = sys.stdin.read() if str(file) == "-" else str(from_file(file, str))
    else:
        return {}
    if not secret.strip():
        raise click.UsageError(f"There is no secret in {variable or file}.")
    return {"webhook_secret": secret.strip()}
