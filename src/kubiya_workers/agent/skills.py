"""The catalogue of built-in skills: which tools each has, and how a configuration limits them."""

from collections.abc import Callable
from typing import Any

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.mcp import MCP
from kubiya_workers.contracts.skills import SkillDefinition
from kubiya_workers.contracts.tools import ToolClass, ToolSpec
from kubiya_workers.contracts.wire import JsonObject

from . import mcp
from .skill_limits import FileLimits, HttpLimits, McpLimits, ShellLimits, SkillLimits, checked

SHELL, FILE_SYSTEM, HTTP = "shell", "file_system", "http"


def definitions() -> tuple[SkillDefinition, ...]:
    """Every type of skill that this version has, its tools with their default limits."""
    return tuple(
        SkillDefinition(
            type=kind,
            name=name,
            description=description,
            tools=() if kind == MCP else tools_for(kind, {}),
            configuration_schema=limits.model_json_schema(),
        )
        for kind, (name, description, limits, _) in _CATALOGUE.items()
    )


def tools_for(skill_type: str, configuration: JsonObject) -> tuple[ToolSpec, ...]:
    """The tools of a skill under a configuration.

    Raises:
        Invalid: there is no such type, or a key or value of the configuration is wrong; the detail names the key,
            the fix what is allowed.
    """
    if skill_type not in _CATALOGUE:
        raise Invalid(f"there is no skill type {skill_type!r}", fix="Use one of: " + ", ".join(_CATALOGUE))
    _, _, limits, make = _CATALOGUE[skill_type]
    return make(checked(f"skill {skill_type!r}", limits, configuration))


def _spec(
    skill: str, limits: SkillLimits, name: str, description: str, tool_class: ToolClass, **parameters: Any
) -> ToolSpec:
    """One tool; a parameter whose schema says `"required": True` is required."""
    required = [key for key, schema in parameters.items() if schema.pop("required", False)]
    return ToolSpec(
        name=name,
        skill=skill,
        description=description,
        parameters={
            "type": "object",
            "properties": parameters,
            "required": required,
            "additionalProperties": False,
        },
        tool_class=tool_class,
        approval=limits.approval,
        timeout_s=limits.timeout_s,
        output_limit=limits.output_limit,
        config=limits.model_dump(mode="json", exclude_unset=True),
    )


def _shell(limits: ShellLimits) -> tuple[ToolSpec, ...]:
    restricted = (
        " Only single programs: no pipes, redirections or substitutions." if limits.allow or limits.deny else ""
    )
    return (
        _spec(
            SHELL,
            limits,
            "shell",
            "Run a command in the working directory and get its exit status and output. It has no terminal and no "
            f"input; what it leaves in the background is ended.{restricted}",
            limits.tool_class,
            command={"type": "string", "minLength": 1, "description": "The command line.", "required": True},
            timeout={
                "type": "number",
                "exclusiveMinimum": 0,
                "description": f"Seconds to wait before it is ended; at most {limits.timeout_s:g}.",
            },
            working_dir={"type": "string", "description": "A directory inside the working directory to run in."},
        ),
    )


def _file_system(limits: FileLimits) -> tuple[ToolSpec, ...]:
    readers = (_read_file(limits), _list_directory(limits), _search_files(limits))
    return readers if limits.read_only else (readers[0], _write_file(limits), *readers[1:])


def _read_file(limits: FileLimits) -> ToolSpec:
    return _spec(
        FILE_SYSTEM,
        limits,
        "read_file",
        "Read a text file inside the working directory.",
        ToolClass.PURE,
        path={"type": "string", "minLength": 1, "description": "Path from the working directory.", "required": True},
        first_line={"type": "integer", "minimum": 1, "description": "The first line to read, counted from 1."},
        max_lines={"type": "integer", "minimum": 1, "description": "How many lines to read at most."},
    )


def _write_file(limits: FileLimits) -> ToolSpec:
    return _spec(
        FILE_SYSTEM,
        limits,
        "write_file",
        "Write a text file inside the working directory, whole: what it held before is replaced. Missing directories "
        "are made.",
        ToolClass.RETRY_SAFE,
        path={"type": "string", "minLength": 1, "description": "Path from the working directory.", "required": True},
        content={"type": "string", "description": "All that the file is to hold.", "required": True},
    )


def _list_directory(limits: FileLimits) -> ToolSpec:
    return _spec(
        FILE_SYSTEM,
        limits,
        "list_directory",
        "List a directory inside the working directory, with types and sizes.",
        ToolClass.PURE,
        path={"type": "string", "description": "Path from the working directory; by default that itself."},
    )


def _search_files(limits: FileLimits) -> ToolSpec:
    return _spec(
        FILE_SYSTEM,
        limits,
        "search_files",
        "Search the text files under a directory, line by line; answers `path:line: text`.",
        ToolClass.PURE,
        pattern={"type": "string", "minLength": 1, "description": "The text to find.", "required": True},
        regex={"type": "boolean", "description": "Whether `pattern` is a regular expression."},
        path={"type": "string", "description": "Where to search, from the working directory; by default all of it."},
        glob={"type": "string", "minLength": 1, "description": "Only files whose names match, such as *.py."},
    )


def _http(limits: HttpLimits) -> tuple[ToolSpec, ...]:
    text = {"type": "string"}
    return (
        _spec(
            HTTP,
            limits,
            "http_request",
            "Send an HTTP request and get the status, headers and body of the answer.",
            _http_class(limits),
            method={"type": "string", "enum": list(limits.methods), "description": "By default the first."},
            url={"type": "string", "minLength": 1, "description": "An http or https address.", "required": True},
            headers={"type": "object", "additionalProperties": text, "description": "Headers to send."},
            body={"type": "string", "description": "The body to send, as text."},
            json={"description": "A JSON value to send as the body, instead of `body`."},
        ),
    )


def _http_class(limits: HttpLimits) -> ToolClass:
    if set(limits.methods) <= {"GET", "HEAD"}:
        return ToolClass.PURE
    return ToolClass.RETRY_SAFE if limits.idempotent else ToolClass.ONCE


def _mcp(limits: McpLimits) -> tuple[ToolSpec, ...]:
    """None: what a server offers is only known by asking it, where a run takes place."""
    mcp.check("skill 'mcp'", limits)
    return ()


_CATALOGUE: dict[str, tuple[str, str, type[SkillLimits], Callable[[Any], tuple[ToolSpec, ...]]]] = {
    SHELL: ("Shell", "Runs commands in the working directory.", ShellLimits, _shell),
    FILE_SYSTEM: ("Files", "Reads, writes, lists and searches inside the working directory.", FileLimits, _file_system),
    HTTP: ("HTTP", "Sends HTTP requests.", HttpLimits, _http),
    MCP: ("MCP", "Uses the tools of a server that speaks the Model Context Protocol.", McpLimits, _mcp),
}
