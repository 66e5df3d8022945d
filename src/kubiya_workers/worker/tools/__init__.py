"""The tools themselves: shell, files, HTTP and those of MCP servers, each behind its JSON schema and its limits.

Flow: an activity hands a `ToolRequest` and the execution's `Workspace` to `Toolbox.run`, which checks the arguments
(`arguments`), makes the environment that the tool gets (`environment`), runs the one file that implements the tool,
and answers with a `ToolResult`. Whatever a model or a tool does wrong is such a result, never an exception: its
`content` tells the model what to do next. Output is bounded by `output`.

`mcp` keeps the connections to servers that speak the Model Context Protocol.

Neighbours: `agent.skills` declares what is implemented here; `launchers.guard` ends what a tool has started.
"""

from .toolbox import Toolbox

__all__ = ["Toolbox"]
