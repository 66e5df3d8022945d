"""Servers that speak the Model Context Protocol: which ones an agent has."""

from .wire import JsonObject, Wire

MCP = "mcp"
"""The skill type whose tools are a server's."""


class McpServer(Wire):
    """A server as an agent has it: `config` is its skill's configuration.

    Where `${NAME}` stands in it, the worker puts the value of the execution's variable, so that neither the definition
    nor Temporal's history holds it. A run fails without its servers, but for an optional one.
    """

    name: str
    config: JsonObject

    @property
    def optional(self) -> bool:
        return self.config.get("optional") is True
