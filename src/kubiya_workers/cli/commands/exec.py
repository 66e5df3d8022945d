"""`kubiya exec`."""

import sys
from pathlib import Path
from secrets import token_hex
from typing import Any

import click

from kubiya_workers.contracts.agents import DEFAULT_AGENT, ExecutionEnvironment
from kubiya_workers.contracts.executions import NewExecution
from kubiya_workers.contracts.ids import NAME_RULE, ExecutionId, is_safe_name
from kubiya_workers.settings.client import ClientSettings

from .. import talk
from ..ask_first import agreed
from ..connect import reach, settings
from ..exit import Exit
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
from ..run_request import RunRequest, Unclear, Who, who_and_prompt
from ..running import run
from .words import given_variables, mcp_servers


def _later(_: click.Context, parameter: click.Parameter, value: object) -> None:
    if value is not None:
        raise click.UsageError(f"{parameter.opts[0]} is not available in this version.")


@click.command("exec")
@click.argument("words", nargs=-1, metavar="[agent|team ID] PROMPT…")
@click.option("--local", is_flag=True, help="Run it on this machine, with a worker for this run alone.")
@click.option("--agent", help=f"Who runs it, by name or id; `{DEFAULT_AGENT}` without it.")
@click.option("--team", help="A team that runs it, by name or id.")
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
@click.option("--plan-file", hidden=True, callback=_later, expose_value=False)
@click.option("--priority", hidden=True, callback=_later, expose_value=False)
@click.option("--find", hidden=True, callback=_later, expose_value=False)
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
            if request.ask_first and not await agreed(reached.client, request):
                talk.say("Nothing was run.")
                return None
            if request.local:
                renderer.status("Starting a worker")
                return await run_here(reached, request, renderer, known.paths)
            return await run_there(reached.client, request, renderer)
    finally:
        renderer.close()


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
    parent_execution: str | None,
    keep_on_failure: bool,
    yes: bool,
    non_interactive: bool,
    verbose: bool,
) -> RunRequest:
    named, prompt = _prompt(words)
    if keep_on_failure and (queue or queue_name):
        raise click.UsageError("--keep-on-failure is about a worker that is started for this run: leave the queue out.")
    directory = _directory(cwd, local=local)
    made = f"local-{token_hex(4)}"
    gateway = chosen(known, made) if local else Gateway()
    return RunRequest(
        who=_who(agent, team, named),
        new=NewExecution(
            prompt=prompt,
            worker_queue_id=_queue(queue, queue_name, local=local),
            parent_execution_id=None if parent_execution is None else ExecutionId(parent_execution),
            execution_environment=_environment(directory, variables, secrets, servers),
            model=model or known.model or gateway.model or known.context_model,
            skip_model_validation=skip_model_validation or known.skip_model_validation,
            limits={"max_wall_s": timeout} if timeout else {},
            keep_on_failure=keep_on_failure,
        ),
        local=local,
        environment=environment,
        directory=directory,
        ask_first=_ask_first(yes=yes, non_interactive=non_interactive),
        verbose=verbose,
        timeout=timeout,
        own_gateway=known.own_gateway or gateway.config is not None,
        local_queue=made,
        proxy_config=gateway.config,
    )


def _who(agent: str | None, team: str | None, named: Who | None) -> Who:
    options = (Who("agent", agent) if agent else None, Who("team", team) if team else None, named)
    given = {who for who in options if who is not None}
    if len(given) > 1:
        raise click.UsageError("Give one agent or one team, by an option or before the prompt.")
    return given.pop() if given else Who("agent", DEFAULT_AGENT)


def _prompt(words: tuple[str, ...]) -> tuple[Who | None, str]:
    """Who the words name, if anybody, and the prompt, from stdin where it is asked for."""
    try:
        who, prompt = who_and_prompt(words)
    except Unclear as unclear:
        raise click.UsageError(str(unclear)) from None
    if prompt == "-" or (not words and not sys.stdin.isatty()):
        prompt = sys.stdin.buffer.read().decode(errors="replace")
    if not prompt.strip():
        raise click.UsageError("The prompt is empty: say what to do.")
    return who, prompt.encode(errors="replace").decode()  # words of a shell may hold halves of characters


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


def _ask_first(*, yes: bool, non_interactive: bool) -> bool:
    if yes:
        return False
    if non_interactive or not sys.stdin.isatty():
        raise click.UsageError("Nobody is at a terminal to be asked: pass --yes to run it without asking.")
    return True


def _only(names: str, first: str | None, second: str | None) -> str | None:
    if first is not None and second is not None and first != second:
        raise click.UsageError(f"Give one of {names}.")
    return first if first is not None else second
