"""`--find`: the one agent that a pattern means."""

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import click

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.agents import Agent

_PAGE = 1000
_SHOWN = 10


async def find_agent(cp: ControlPlaneClient, pattern: str) -> Agent:
    """The agent whose name or description fits.

    Raises:
        click.UsageError: none does, or several do.
    """
    agents: list[Agent] = []
    while page := await cp.agents.list(skip=len(agents), limit=_PAGE):
        agents += page
        if len(page) < _PAGE:
            break
    return chosen(agents, pattern)


def chosen(agents: Sequence[Agent], pattern: str) -> Agent:
    """A name that is the pattern itself wins; else names and descriptions are looked through, whatever their case.

    `*`, `?` and `[…]` make it a pattern for the whole of a name or description; without them it is a part of one.

    Raises:
        click.UsageError: none fits, or several do.
    """
    exact = [agent for agent in agents if agent.name.casefold() == pattern.casefold()]
    fitting = exact or [agent for agent in agents if _fits(agent, pattern.casefold())]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(agent.name for agent in fitting[:_SHOWN])
        more = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
        raise click.UsageError(f"--find {pattern!r} fits {len(fitting)} agents: {names}{more}. Say which: --agent NAME")
    nearest = get_close_matches(pattern, [agent.name for agent in agents], n=3, cutoff=0.5)
    meant = f" Did you mean {' or '.join(nearest)}?" if nearest else " `kubiya agent list` shows them."
    raise click.UsageError(f"--find {pattern!r} fits no agent.{meant}")


def _fits(agent: Agent, pattern: str) -> bool:
    texts = (agent.name.casefold(), (agent.description or "").casefold())
    if any(sign in pattern for sign in "*?["):
        return any(fnmatchcase(text, pattern) for text in texts)
    return any(pattern in text for text in texts)
