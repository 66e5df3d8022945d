"""`kubiya exec`."""

import sys
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.agents import DEFAULT_AGENT, ExecutionEnvironment
from kubiya_workers.contracts.executions import NewExecution
from kubiya_workers.contracts.ids import NAME_RULE, ExecutionId, is_safe_name
from kubiya_workers.settings.client import ClientSettings

from .. import talk
from ..ask_first import agreed
from ..connect import reach, settings
from ..exit import Exit
from ..find_agent import find_agent
from ..following import Ended
from ..local_run import run_here
from ..output import Format, encoded, output_option
from ..proxying import Gateway, chosen
from ..remote_run import run_there
from ..render.lines import JsonLines
from ..render.quiet import Quiet
from ..render.renderer import Renderer
from ..render.screen import screen
from ..render.text import TextRenderer
from ..run_request import RunRequest, Unclear, WantedPlan, Who, who_and_prompt
from ..running import run
from .words import given_prompt, given_variables, mcp_servers, priority

if TYPE_CHECKING:
    from ..plan_files import PlanFile


@click.command("exec")
@click.argument("words", nargs=-1, metavar="[agent|team ID] PROMPT…")
@click.option("--local", is_flag=True, help="Run it on this machine, with a worker for this run alone.")
@click.option("--agent", help=f"Who runs it, by name or id; `{DEFAULT_AGENT}` without it.")
@click.option("--team", help="A team that runs it, by name or id.")
@click.option("--find", metavar="PATTERN", help="The one agent whose name or description has this in it.")
@click.option("--queue", metavar="ID", help="The queue whose workers run it, by id or name.")
@click.option("--queue-name", metavar="NAME", help="The same, by name.")
@click.option("--environment", metavar="NAME", help="The environment whose variables and queues it gets.")
@click.option("--cwd", type=click.Path(path_type=Path), help="The directory its tools work in.")
@click.option("--model", help="The model, whatever the agent or team says.")
@click.option("--skip-model-validation", is_flag=True, help="Do not ask first whether the gateway has the model.")
@click.option("--env", "variables", multiple=True, metavar="NAME=VALUE", help="A variable for its tools; repeatable.")
@click.option(
    "--secret", "secrets", multiple=True, metavar="NAME", help="A variable of this shell for its tools, kept secret."
)
@click.option("--mcp-servers", "servers", metavar="JSON|@FILE", help="MCP servers whose tools it gets, too, by name.")
@click.option("--timeout", type=click.FloatRange(min=1), metavar="SECONDS", help="Cancel it after so long.")
@click.option(
    "--priority",
    metavar="P",
    callback=priority,
    help="Which run a queue gives out first: critical (1), high (2), normal (3), low (4), or 5.",
)
@click.option("--plan", is_flag=True, help="Have a model plan it first, show the plan, and ask.")
@click.option("--plan-file", metavar="F", help="Run a plan that was saved: its id, or a file.")
@click.option("--again", is_flag=True, help="With --plan-file: also a plan that was executed already.")
@click.option("--parent-execution", metavar="ID", help="The run that this one belongs to.")
@click.option(
    "--keep-on-failure",
    is_flag=True,
    help="Leave the worker that was started for this run, for inspection, if it fails.",
)
@click.option("-y", "--yes", is_flag=True, help="Do not show and ask first.")
@click.option("--non-interactive", is_flag=True, help="Never ask; needs --yes.")
@click.option("-v", "--verbose", is_flag=True, help="Whole tool outputs, reasoning, the worker's log.")
@click.option("--no-stream", is_flag=True, help="Print only the answer, when it is there.")
@click.option("--stream-format", type=click.Choice(["text", "json"]), default="text", help="json: one event a line.")
@output_option
def command(words: tuple[str, ...], output: Format, no_stream: bool, stream_format: str, **options: Any) -> int:
    """Run a prompt on an agent or a team and show what happens as it happens.

    It runs on the queue that is named, else on one that has a live worker; where none has, the control plane starts a
    worker for this run and removes it afterwards. With --local this command does so, on this machine.

    The answer goes to stdout, everything else to stderr. With `-` as the prompt, or none and a pipe, the prompt is
    read from stdin. A prompt that begins with a dash follows `--`.

    \b
    kubiya exec --local 'Run `git log --oneline -5` and `ls -la`' --yes
    kubiya exec --queue my-queue 'Run `uname -a`'
    kubiya exec agent ops 'Is the disk full?' -o json --yes
    kubiya exec team release 'Write and check the notes of 1.4' --yes
    git diff | kubiya exec --local --yes -
    kubiya exec --plan 'Upgrade the staging database'

    Exit status: 0 completed, 1 failed or cancelled, 130 interrupted.
    """
    if sum((output is not Format.TEXT, stream_format == "json", no_stream)) > 1:
        raise click.UsageError("Give one of --output, --stream-format json and --no-stream.")
    known = settings()
    request = _request(words, known, **options)
    renderer = _renderer(output, stream_format, no_stream, request.verbose)
    ended = run(_execute(known, request, renderer))
    return Exit.FAILED if ended is None else _tell(ended, output)


async def _execute(known: ClientSettings, request: RunRequest, renderer: Renderer) -> Ended | None:
    """The run's end; None when the person did not want it."""
    try:
        async with reach(known, renderer.status, note=renderer.note) as reached:
            renderer.close()  # the way there is done: a question must not stand behind a spinner
            request = await _settled(reached.client, known, request)
            if request.ask_first and not await agreed(reached.client, request):
                talk.say("Nothing was run." + _kept(request))
                return None
            if request.plan_file is not None:
                request.plan_file.approve()
            if request.local:
                renderer.status("Starting a worker")
                return await run_here(reached, request, renderer, known.paths)
            return await run_there(reached.client, request, renderer)
    finally:
        renderer.close()


def _kept(request: RunRequest) -> str:
    file = request.plan_file
    return "" if file is None else f" The plan is kept: kubiya exec --plan-file {file.saved.plan.plan_id}"


async def _settled(cp: ControlPlaneClient, known: ClientSettings, request: RunRequest) -> RunRequest:
    """With the agent that was looked for, and what a plan recommends."""
    wanted = request.plan
    if request.find is not None:
        found = Who("agent", (await find_agent(cp, request.find)).id)
        request, wanted = replace(request, who=found), wanted and replace(wanted, who=found)
    if wanted is None:
        return request
    from ..planned_run import by_plan

    return await by_plan(cp, request, wanted, known.paths.plans)


def _tell(ended: Ended, output: Format) -> int:
    if output is not Format.TEXT:
        click.echo(encoded(ended.execution.model_dump(mode="json"), output))
    if ended.reason is not None:
        talk.error(ended.reason, f"See what happened: kubiya execution logs {ended.execution.id} --verbose")
    return ended.exit_status


def _renderer(output: Format, stream_format: str, no_stream: bool, verbose: bool) -> Renderer:
    if stream_format == "json":
        return JsonLines()
    if output is not Format.TEXT or no_stream:
        return Quiet(screen(), answer=no_stream)
    return TextRenderer(screen(), verbose=verbose)


def _request(
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
    if keep_on_failure and (queue or queue_name):
        raise click.UsageError("--keep-on-failure is about a worker that is started for this run: leave the queue out.")
    directory = _directory(cwd, local=local)
    made = f"local-{token_hex(4)}"
    gateway = chosen(known, made) if local else Gateway()
    return RunRequest(
        who=who or Who("agent", DEFAULT_AGENT),
        new=NewExecution(
            prompt=prompt,
            worker_queue_id=_queue(queue, queue_name, local=local),
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


def _queue(queue: str | None, name: str | None, *, local: bool) -> str | None:
    chosen = _only("--queue and --queue-name", queue, name)
    if chosen is not None and local:
        raise click.UsageError("--local makes a queue of its own: leave --queue out.")
    if chosen is not None and "," in chosen:
        raise click.UsageError("Give one queue: several are not available in this version.")
    if chosen is not None and not is_safe_name(chosen):
        raise click.UsageError(f"--queue: {chosen!r} cannot name a queue: {NAME_RULE}.")
    return chosen


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
