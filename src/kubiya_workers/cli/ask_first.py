"""What will run where, shown before it does, and the question."""

import asyncio
import sys

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.agents import Agent
from kubiya_workers.contracts.teams import Team

from . import talk
from .output import details
from .run_request import RunRequest


async def agreed(cp: ControlPlaneClient, request: RunRequest) -> bool:
    """Whether the person at the terminal agrees to the run."""
    talk.say(await preview(cp, request))
    return await _yes("Run it?")


async def preview(cp: ControlPlaneClient, request: RunRequest) -> str:
    """The agent or team, its model and tools, the place and the prompt.

    Raises:
        NotFound: no such agent or team.
    """
    who: Agent | Team
    if request.who.kind == "team":
        who = await cp.teams.get(request.who.ref)
        means = ("Members", await _members(cp, who) or "none")
    else:
        who = await cp.agents.get(request.who.ref)
        means = ("Tools", await _tools(cp, who) or "none")
    model = request.new.model or who.model_id or (await cp.models.default()).value
    return details(
        (
            (request.who.kind.capitalize(), who.name),
            ("Model", model),
            means,
            ("Runs on", _place(request)),
            ("Directory", request.directory or "the worker's own"),
            ("Prompt", request.new.prompt),
        )
    )


async def _members(cp: ControlPlaneClient, team: Team) -> list[str]:
    return [agent.name for agent in await asyncio.gather(*map(cp.agents.get, team.members))]


async def _tools(cp: ControlPlaneClient, agent: Agent) -> list[str]:
    """The names of the tools of the agent's skills, which are named by id or by name."""
    skills, definitions = await asyncio.gather(cp.skills.list(limit=1000), cp.skills.definitions())
    tools = {definition.type: [tool.name for tool in definition.tools] for definition in definitions}
    mine = [skill for skill in skills if {skill.id, skill.name} & set(agent.skill_ids) and skill.enabled]
    return [tool for skill in mine for tool in tools.get(skill.type, [skill.name])]


def _place(request: RunRequest) -> str:
    if request.local:
        return "this machine, by a worker for this run alone"
    if request.queues:
        return f"workers on each of the queues {', '.join(request.queues)}"
    queue = request.new.worker_queue_id
    return f"a worker on queue {queue}" if queue else "a live worker that the control plane chooses"


async def _yes(question: str) -> bool:
    # Read through the loop: a thread that sits in input() would keep Ctrl-C from ending the command.
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()
    loop.add_reader(sys.stdin.fileno(), lambda: typed.done() or typed.set_result(sys.stdin.readline()))
    try:
        return (await typed).strip().lower() in ("y", "yes")
    finally:
        loop.remove_reader(sys.stdin.fileno())
