"""What the words and options of `kubiya exec` ask for, as one request."""

import sys
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import click

from kubiya_workers.contracts.agents import DEFAULT_AGENT, ExecutionEnvironment
from kubiya_workers.contracts.executions import NewExecution
from kubiya_workers.contracts.ids import NAME_RULE, ExecutionId, is_safe_name
from kubiya_workers.settings.client import ClientSettings

from ..proxying import Gateway, chosen
from ..run_request import RunRequest, Unclear, WantedPlan, Who, who_and_prompt
from .words import given_prompt, given_variables, mcp_servers

if TYPE_CHECKING:
    from ..plan_files import PlanFile


def request_of(
    words: tuple[str, ...],
    known: ClientSettings,
    *,
    local: bool,
    agent: str | None,
    team: str | None,
    find: str | None,
    queue: str | None,
    queue_name: str | None,
    environment: str | None,
    cwd: Path | None,
    model: str | None,
    skip_model_validation: bool,
    variables: tuple[str, ...],
    secrets: tuple[str, ...],
    servers: str | None,
    timeout: float | None,
    priority: int,
    plan: bool,
    plan_file: str | None,
    again: bool,
    parent_execution: str | None,
    keep_on_failure: bool,
    yes: bool,
    non_interactive: bool,
    verbose: bool,
) -> RunRequest:
    file = _plan_file(known, words, plan_file, plan=plan, again=again)
    who, prompt = _who_and_prompt(words, agent, team, find, file)
    only, several = _queues(queue, queue_name, local=local, kept=keep_on_failure, planned=plan or file is not None)
    directory = _directory(cwd, local=local)
    made = f"local-{token_hex(4)}"
    gateway = chosen(known, made) if local else Gateway()
    return RunRequest(
        who=who or Who("agent", DEFAULT_AGENT),
        new=NewExecution(
            prompt=prompt,
            worker_queue_id=only,
            parent_execution_id=None if parent_execution is None else ExecutionId(parent_execution),
            execution_environment=_environment(directory, variables, secrets, servers),
            model=model or known.model or gateway.model or known.context_model,
            skip_model_validation=skip_model_validation or known.skip_model_validation,
            limits={"max_wall_s": timeout} if timeout else {},
            priority=priority,
            keep_on_failure=keep_on_failure,
        ),
        local=local,
        environment=environment,
        directory=directory,
        ask_first=_ask_first(file, yes=yes, non_interactive=non_interactive),
        verbose=verbose,
        timeout=timeout,
        own_gateway=known.own_gateway or gateway.config is not None,
        local_queue=made,
        queues=several,
        proxy_config=gateway.config,
        find=find,
        plan=WantedPlan(who, file, again) if plan or file else None,
    )


def _who_and_prompt(
    words: tuple[str, ...], agent: str | None, team: str | None, find: str | None, file: "PlanFile | None"
) -> tuple[Who | None, str]:
    """Who the user named, if anybody, and what they are to do."""
    named, prompt = _prompt(words) if file is None else (None, file.saved.prompt)
    who = _who(agent, team, named)
    if find is not None and who is not None:
        raise click.UsageError("Give --find or the agent itself.")
    return who, prompt


def _who(agent: str | None, team: str | None, named: Who | None) -> Who | None:
    options = (Who("agent", agent) if agent else None, Who("team", team) if team else None, named)
    given = {who for who in options if who is not None}
    if len(given) > 1:
        raise click.UsageError("Give one agent or one team, by an option or before the prompt.")
    return given.pop() if given else None


def _plan_file(
    known: ClientSettings, words: tuple[str, ...], ref: str | None, *, plan: bool, again: bool
) -> "PlanFile | None":
    """The saved plan that is meant, if any."""
    if ref is None:
        if again:
            raise click.UsageError("--again is about a plan that is run once more: name it with --plan-file.")
        return None
    if plan:
        raise click.UsageError("Give --plan, which makes a plan, or --plan-file, which names one.")
    if words:
        raise click.UsageError("The prompt is the plan's: leave it out. Who runs it is named by --agent or --team.")
    from ..plan_files import PlanFiles

    file = PlanFiles(known.paths.plans).find(ref)
    if not again:
        file.check_not_executed()
    return file


def _prompt(words: tuple[str, ...]) -> tuple[Who | None, str]:
    """Who the words name, if anybody, and the prompt, from stdin where it is asked for."""
    try:
        who, prompt = who_and_prompt(words)
    except Unclear as unclear:
        raise click.UsageError(str(unclear)) from None
    return who, given_prompt(prompt, words)


def _directory(cwd: Path | None, *, local: bool) -> Path | None:
    if local:
        directory = (cwd or Path()).resolve()
        if not directory.is_dir():
            raise click.UsageError(f"--cwd: there is no directory {directory}.")
        return directory
    if cwd is not None and not cwd.is_absolute():
        raise click.UsageError("--cwd is a directory on the worker's machine: give its absolute path.")
    return cwd


def _queues(
    queue: str | None, name: str | None, *, local: bool, kept: bool, planned: bool
) -> tuple[str | None, tuple[str, ...]]:
    """The queue that is named, or the several ones."""
    named = _only("--queue and --queue-name", queue, name)
    if named is None:
        return None, ()
    if local:
        raise click.UsageError("--local makes a queue of its own: leave --queue out.")
    if kept:
        raise click.UsageError("--keep-on-failure is about a worker that is started for this run: leave the queue out.")
    queues = tuple(word.strip() for word in named.split(","))
    for one in queues:
        if not is_safe_name(one):
            raise click.UsageError(f"--queue: {one!r} cannot name a queue: {NAME_RULE}.")
        if queues.count(one) > 1:
            raise click.UsageError(f"--queue: {one!r} is named twice.")
    if len(queues) == 1:
        return queues[0], ()
    if planned:
        raise click.UsageError("A plan is for one run: give one queue, or no plan.")
    return None, queues


def _environment(
    directory: Path | None, words: tuple[str, ...], secrets: tuple[str, ...], servers: str | None
) -> ExecutionEnvironment:
    environment = ExecutionEnvironment(
        working_dir=None if directory is None else str(directory),
        env_vars=given_variables(words, secrets),
        secrets=secrets,
    )
    return environment if servers is None else environment.model_copy(update={"mcp_servers": mcp_servers(servers)})


def _ask_first(file: "PlanFile | None", *, yes: bool, non_interactive: bool) -> bool:
    if yes or (file is not None and file.is_approved):
        return False
    if non_interactive or not sys.stdin.isatty():
        kept = file is not None and file.is_kept
        or_approve = f" Or agree to the plan first: kubiya plan approve {file.path.stem}" if file and kept else ""
        raise click.UsageError(f"Nobody is at a terminal to be asked: pass --yes to run it without asking.{or_approve}")
    return True


def _only(names: str, first: str | None, second: str | None) -> str | None:
    if first is not None and second is not None and first != second:
        raise click.UsageError(f"Give one of {names}.")
    return first if first is not None else second
