"""A server written with the SDK: `python notes.py` speaks on its input and output, `python notes.py PORT` HTTP."""

import asyncio
import base64
import os
import sys
from pathlib import Path

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import BlobResourceContents, CallToolResult, EmbeddedResource, ImageContent, TextContent, ToolAnnotations

server = MCPServer("notes", log_level="ERROR")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def count(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@server.tool()
def add_note(text: str) -> str:
    """Write a line into notes.txt."""
    with Path("notes.txt").open("a") as file:
        file.write(text + "\n")
    return f"noted: {text}"


@server.tool()
async def wait(context: Context, seconds: float) -> str:
    """Begin a note, wait, and end it."""
    add_note("begun")
    try:
        await context.report_progress(1, 2, "begun")
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        add_note("cancelled")
        raise
    add_note("ended")
    return "waited"


@server.tool()
def tell_secret() -> str:
    """Say what must not be said."""
    print("errors know", os.environ["NOTES_TOKEN"], file=sys.stderr, flush=True)
    return f"the token is {os.environ['NOTES_TOKEN']}"


@server.tool()
def show() -> CallToolResult:
    """A picture and a file."""
    data = base64.b64encode(bytes(3000)).decode()
    blob = BlobResourceContents(uri="file:///a.zip", mime_type="application/zip", blob=data)
    return CallToolResult(
        content=[
            TextContent(text="here:"),
            ImageContent(data=data, mime_type="image/png"),
            EmbeddedResource(resource=blob),
        ],
        structured_content={"pages": 1},
    )


@server.tool()
def refuse() -> CallToolResult:
    """Fail, and say why."""
    return CallToolResult(content=[TextContent(text="no such note")], is_error=True)


@server.tool()
def much(size: int) -> str:
    """As many letters as asked for."""
    return "x" * size


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()
