"""MCP servers as people define them: in a skill, or in the `mcp_servers` of an execution environment."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import urlsplit

from kubiya_workers.contracts.activities import ToolsListed
from kubiya_workers.contracts.agents import ExecutionEnvironment
from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.mcp import McpServer
from kubiya_workers.contracts.wire import JsonObject

from . import references
from .skill_limits import McpLimits, checked

MOST_SERVERS = 16
_TRANSPORTS = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamableHttp": "http",
}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"[^=\0]+")
_CONTROL = re.compile(r"[\0\r\n]")
_FLAG = re.compile(r"--?(?P<name>[\w-]+)(?:=(?P<value>.*))?", re.DOTALL)


def of_skill(name: str, configuration: JsonObject) -> McpServer:
    """The server of a skill of type `mcp`; it has the skill's name. Raises Invalid."""
    return _server(name, f"skill {name!r}", configuration)


def of_environment(mcp_servers: JsonObject) -> tuple[McpServer, ...]:
    """The servers of an execution environment; what says that it is `disabled` is left out.

    Raises:
        Invalid: one of them is wrong; the detail names it and the key, the fix what helps.
    """
    return tuple(
        _server(name, f"MCP server {name!r}", _in_our_words(name, entry))
        for name, entry in mcp_servers.items()
        if not (isinstance(entry, dict) and cast("JsonObject", entry).get("disabled") is True)
    )


def check_environment(environment: ExecutionEnvironment | None) -> None:
    """Raises Invalid as `of_environment` does."""
    if environment is not None:
        of_environment(environment.mcp_servers)


def merged(*layers: tuple[McpServer, ...]) -> tuple[McpServer, ...]:
    """All servers; of two with one name, the later layer's.

    Raises:
        Invalid: there are too many.
    """
    found = {server.name: server for layer in layers for server in layer}
    if len(found) > MOST_SERVERS:
        raise Invalid(f"{len(found)} MCP servers for one agent", fix=f"Give it at most {MOST_SERVERS}.")
    return tuple(found.values())


def limits_of(server: McpServer) -> McpLimits:
    """The configuration of a server, typed. Raises Invalid."""
    return checked(f"MCP server {server.name!r}", McpLimits, server.config)


def secret_variables(server: McpServer) -> frozenset[str]:
    """The execution's variables that are secrets by their use: they stand for a key, a token or a password."""
    uses = [*_named_values(limits_of(server))]
    return frozenset(name for key, value in uses if references.is_secret_name(key) for name in references.names(value))


def verdict(servers: tuple[McpServer, ...], listed: ToolsListed) -> tuple[str | None, tuple[str, ...]]:
    """Why a run cannot go on, or None; and what it has to do without."""
    optional = {server.name for server in servers if server.optional}
    said = {fault.server: f"MCP server {fault.server!r}: {fault.reason}" for fault in listed.faults}
    needed = [reason for name, reason in said.items() if name not in optional]
    without = tuple(
        f"{reason} (optional: the run goes on without it)" for name, reason in said.items() if name in optional
    )
    return ("; ".join(needed) or None), (*without, *listed.notes)


def check(where: str, limits: McpLimits) -> None:
    """Raises Invalid when the settings do not go together, or hold a secret as it is."""
    _check_kind(where, limits)
    for name in limits.env:
        if not _VARIABLE.fullmatch(name):
            raise Invalid(f"setting 'env' of {where}: {name!r} is no name of a variable", fix="Write NAME: value.")
    for name, value in limits.headers.items():
        if not _HEADER.fullmatch(name) or _CONTROL.search(value):
            raise Invalid(
                f"setting 'headers.{name}' of {where}: no header can be so", fix="Write one line, Name: value."
            )
    for word in (limits.command or "", *limits.args, *limits.env.values()):
        if "\0" in word:
            raise Invalid(f"{where} holds a NUL character", fix="Remove it: no program can be given one.")
    for key, name, value in _places(limits):
        if references.is_literal_secret(name, value):
            raise Invalid(
                f"setting {key!r} of {where} holds a secret as it is",
                fix="Write ${NAME} there, and give the run the variable NAME: kubiya exec --secret NAME, or the "
                "environment's env_vars and secrets.",
            )


def _server(name: str, where: str, configuration: JsonObject) -> McpServer:
    if not name.strip() or len(name) > 200 or not name.isprintable():
        raise Invalid(f"{name[:200]!r} cannot name an MCP server", fix="Use one line of at most 200 characters.")
    limits = checked(where, McpLimits, configuration)
    check(where, limits)
    return McpServer(name=name, config=limits.model_dump(mode="json", exclude_unset=True))


def _in_our_words(name: str, entry: Any) -> JsonObject:
    """An entry as other programs' files have it, in the words of our skill."""
    if not isinstance(entry, dict):
        raise Invalid(f"MCP server {name!r} is no object", fix='Write {"command": …, "args": […]} or {"url": …}.')
    fields = dict(cast("JsonObject", entry))
    fields.pop("disabled", None)
    kind = fields.pop("type", fields.pop("transport", None))
    if kind is None:
        return fields
    if not isinstance(kind, str) or kind not in _TRANSPORTS:
        raise Invalid(
            f"setting 'type' of MCP server {name!r}: {kind!r} is not supported",
            fix="Use stdio (a command) or http (streamable HTTP at a url); servers that only speak sse are too old.",
        )
    return {**fields, "transport": _TRANSPORTS[kind]}


def _check_kind(where: str, limits: McpLimits) -> None:
    if (limits.command is None) == (limits.url is None):
        raise Invalid(f"{where} needs either 'command' or 'url'", fix="stdio: command, args, env. http: url, headers.")
    kind = "stdio" if limits.command is not None else "http"
    if limits.transport not in (None, kind):
        raise Invalid(
            f"setting 'transport' of {where}: {limits.transport} does not go with what is given",
            fix=f"Write {kind}, or leave it out.",
        )
    foreign = ("url", "headers") if kind == "stdio" else ("command", "args", "env")
    for key in foreign:
        if key in limits.model_fields_set and getattr(limits, key):
            raise Invalid(f"setting {key!r} of {where} does not go with {kind}", fix="Leave it out.")
    if limits.url is not None:
        _check_url(where, limits.url)


def _check_url(where: str, url: str) -> None:
    if url.startswith("$") and references.names(url):
        return  # what it is, the worker will see
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good, parts = False, urlsplit("")
    if not good:
        raise Invalid(f"setting 'url' of {where}: {url!r} is no http or https address", fix="https://host/mcp")
    if parts.username is not None:
        raise Invalid(f"setting 'url' of {where} holds credentials", fix="Send them in 'headers', as ${NAME}.")


def _named_values(limits: McpLimits) -> Iterator[tuple[str, str]]:
    """What stands under a name: variables, headers, and the query of the address."""
    yield from limits.env.items()
    yield from limits.headers.items()
    yield from references.query_of(limits.url or "")


def _places(limits: McpLimits) -> Iterator[tuple[str, str, str]]:
    """Each text that may hold a secret: its key in the configuration, the name that it has there, itself."""
    yield from _of("env", limits.env)
    yield from _of("headers", limits.headers)
    yield from (("url", name, value) for name, value in references.query_of(limits.url or ""))
    flag = ""
    for number, word in enumerate(limits.args):
        match = _FLAG.fullmatch(word)
        if match is None or match["value"] is not None:
            yield f"args.{number}", flag if match is None else match["name"], word if match is None else match["value"]
        flag = match["name"] if match is not None and match["value"] is None else ""


def _of(key: str, values: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    yield from ((f"{key}.{name}", name, value) for name, value in values.items())
