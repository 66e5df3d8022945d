"""An MCP server with two tools. It needs the package `mcp`, which comes with kubiya-workers."""

from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp_types import ToolAnnotations

server = MCPServer("notes", log_level="ERROR")
FILE = Path("notes.txt")


@server.tool()
def add_note(text: str) -> str:
    """Write down a line."""
    with FILE.open("a") as file:
        file.write(text + "\n")
    return "noted"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def read_notes() -> str:
    """All that was written down."""
    return FILE.read_text() if FILE.exists() else "nothing yet"


if __name__ == "__main__":
    server.run()
