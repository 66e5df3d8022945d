"""What the MCP servers of a run offer: asked once, on the worker that takes the run's first step."""

from temporalio import activity

from kubiya_workers.contracts.activities import LIST_TOOLS, ToolListing, ToolsListed

from ..metrics import StepKind
from ..tools.mcp import Servers
from ..workspaces import redactor_of
from .steps import Steps


class ListTools:
    def __init__(self, steps: Steps, servers: Servers) -> None:
        self._steps = steps
        self._servers = servers

    @activity.defn(name=LIST_TOOLS)
    async def run(self, listing: ToolListing) -> ToolsListed:
        """Temporal's history keeps the result, so nothing secret is in it, whatever a server says."""
        steps = self._steps
        names = ", ".join(server.name for server in listing.servers)
        async with steps.edge(listing.execution_id, StepKind.LIST_TOOLS, names):
            workspace = await steps.workspaces.of(listing.execution_id)
            listed = await self._servers.listed(listing, workspace)
            return ToolsListed.model_validate(redactor_of(workspace).body(listed.model_dump(mode="json")))
