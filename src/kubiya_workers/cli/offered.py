"""What an MCP server offers, asked of it here: it is started for the question, and ended."""

from pathlib import Path

from kubiya_workers.contracts.activities import ToolListing, ToolsListed
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.mcp import McpServer
from kubiya_workers.contracts.tools import Workspace
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.settings.proxies import Proxies
from kubiya_workers.settings.source import Source
from kubiya_workers.worker.tools.mcp import Servers


async def offered(server: McpServer, variables: dict[str, str], secrets: tuple[str, ...]) -> ToolsListed:
    """As a run in this directory, with these variables, would see it."""
    source = Source.of_process()
    workspace = Workspace(working_dir=str(Path.cwd()), env_vars=variables, secrets=secrets)
    with Guard.start() as guard:
        servers = Servers(guard, base=source.environ, proxies=Proxies.of(source))
        try:
            return await servers.listed(ToolListing(execution_id=ExecutionId("none"), servers=(server,)), workspace)
        finally:
            await servers.close()
