"""What the MCP servers of a run offer: asked once, on the worker that takes the run's first step."""

from temporalio import activity

from kubiya_workers.agent.mcp import verdict
from kubiya_workers.contracts.activities import LIST_TOOLS, ToolListing, ToolsListed
from kubiya_workers.contracts.errors import Unavailable

from ..metrics import StepKind
from ..tools.mcp import Servers
from .steps import Steps


class ListTools:
    def __init__(self, steps: Steps, servers: Servers) -> None:
        self._steps = steps
        self._servers = servers

    @activity.defn(name=LIST_TOOLS)
    async def run(self, listing: ToolListing) -> ToolsListed:
        steps = self._steps
        names = ", ".join(server.name for server in listing.servers)
        async with steps.edge(listing.execution_id, StepKind.LIST_TOOLS, names):
            workspace = await steps.workspaces.of(listing.execution_id)
            listed = await self._servers.listed(listing, workspace)
            error, _ = verdict(listing.servers, listed)
            if error is not None and all(fault.passing for fault in listed.faults) and _is_tried_again():
                raise Unavailable(error)
            return listed


def _is_tried_again() -> bool:
    """Whether a failure of this attempt leads to another one."""
    info = activity.info()
    return info.retry_policy is not None and info.attempt < info.retry_policy.maximum_attempts
