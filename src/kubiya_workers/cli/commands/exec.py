"""`kubiya exec`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.agents import DEFAULT_AGENT
from kubiya_workers.settings.client import ClientSettings

from .. import talk
from ..ask_first import agreed
from ..connect import reach, settings
from ..exit import Exit
from ..find_agent import find_agent
from ..following import Ended
from ..local_run import run_here
from ..output import Format, encoded, output_option
from ..remote_run import run_there
from ..render.lanes import Lanes, json_lanes, text_lanes
from ..render.lines import JsonLines
from ..render.quiet import Quiet
from ..render.renderer import Renderer
from ..render.screen import screen
from ..render.text import TextRenderer
from ..run_request import RunRequest, Who
from ..running import run
from .exec_options import request_of
from .words import priority


@click.command("exec")
@click.argument("words", nargs=-1, metavar="[agent|team ID] PROMPT…")
@click.option("--local", is_flag=True, help="Run it on this machine, with a worker for this run alone.")
@click.option("--agent", help=f"Who runs it, by name or id; `{DEFAULT_AGENT}` without it.")
@click.option("--team", help="A team that runs it, by name or id.")
@click.option("--find", metavar="PATTERN", help="The one agent whose name or description has this in it.")
@click.option(
    "--queue", metavar="ID[,ID]", help="The queue whose workers run it, by id or name; of several, each runs it."
)
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
    worker for this run and removes it afterwards. With --local this command does so, on this machine. With several
    queues it runs on each of them, side by side.

    The answer goes to stdout, everything else to stderr. With `-` as the prompt, or none and a pipe, the prompt is
    read from stdin. A prompt that begins with a dash follows `--`.

    \b
    kubiya exec --local 'Run `git log --oneline -5` and `ls -la`' --yes
    kubiya exec --queue my-queue 'Run `uname -a`'
    kubiya exec agent ops 'Is the disk full?' -o json --yes
    kubiya exec --queue web,data 'Is the disk full?' --yes
    kubiya exec team release 'Write and check the notes of 1.4' --yes
    git diff | kubiya exec --local --yes -
    kubiya exec --plan 'Upgrade the staging database'

    Exit status: 0 completed, 1 failed or cancelled, 130 interrupted.
    """
    if sum((output is not Format.TEXT, stream_format == "json", no_stream)) > 1:
        raise click.UsageError("Give one of --output, --stream-format json and --no-stream.")
    known = settings()
    request = request_of(words, known, **options)
    renderer = _renderer(output, stream_format, no_stream, request.verbose)
    lanes = _lanes(output, stream_format, no_stream)
    ended = run(_execute(known, request, renderer, lanes))
    if request.queues:
        return _tell_each(dict(zip(request.queues, ended, strict=True)), output) if ended else Exit.FAILED
    return _tell(ended[0], output) if ended else Exit.FAILED


async def _execute(known: ClientSettings, request: RunRequest, renderer: Renderer, lanes: Lanes) -> Sequence[Ended]:
    """The end of the run, or of each run where it has several queues; none when the person did not want it."""
    try:
        async with reach(known, renderer.status, note=renderer.note) as reached:
            renderer.close()  # the way there is done: a question must not stand behind a spinner
            request = await _settled(reached.client, known, request)
            if request.ask_first and not await agreed(reached.client, request):
                talk.say("Nothing was run." + _kept(request))
                return ()
            if request.plan_file is not None:
                request.plan_file.approve()
            if request.queues:
                from ..side_by_side import run_on_each

                return await run_on_each(reached.client, request, lanes, renderer)
            if request.local:
                renderer.status("Starting a worker")
                return [await run_here(reached, request, renderer, known.paths)]
            return [await run_there(reached.client, request, renderer)]
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


def _tell_each(runs: Mapping[str, Ended], output: Format) -> int:
    """Every run in one list, in the order of the queues; the worst status is the command's."""
    if output is not Format.TEXT:
        click.echo(encoded([ended.execution.model_dump(mode="json") for ended in runs.values()], output))
    for queue, ended in runs.items():
        if ended.reason is not None:
            fix = f"See what happened: kubiya execution logs {ended.execution.id} --verbose"
            talk.error(f"{queue}: {ended.reason}", fix)
    return max(ended.exit_status for ended in runs.values())


def _renderer(output: Format, stream_format: str, no_stream: bool, verbose: bool) -> Renderer:
    if stream_format == "json":
        return JsonLines()
    if output is not Format.TEXT or no_stream:
        return Quiet(screen(), answer=no_stream)
    return TextRenderer(screen(), verbose=verbose)


def _lanes(output: Format, stream_format: str, no_stream: bool) -> Lanes:
    if stream_format == "json":
        return json_lanes
    is_text = output is Format.TEXT
    return text_lanes(screen(), work=is_text and not no_stream, answers=is_text)
