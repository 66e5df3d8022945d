"""What servers say they have, made into tools: names that every model's API takes, schemas of bounded size."""

import fnmatch
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, UnknownType
from referencing.exceptions import Unresolvable

from kubiya_workers.agent.skill_limits import McpLimits
from kubiya_workers.contracts.mcp import MCP
from kubiya_workers.contracts.tools import ToolClass, ToolSpec
from kubiya_workers.contracts.wire import JsonObject

LONGEST_NAME = 64
MOST_TOOLS = 128
"""Of a run: more are refused by the models' APIs."""
LONGEST_DESCRIPTION = 4_096
LARGEST_SCHEMA = 32_768
LARGEST_LIST = 524_288
"""Bytes of all tools together: they are part of every model call."""
_DEEPEST = 32

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
_NAMED_SCHEMAS = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})
_VALUES = frozenset({"enum", "const", "default", "examples", "required", "type", "dependentRequired"})
_DROPPED = frozenset(
    (
        # Where else a schema may be found, what can keep a validator busy for ever, and what nobody here reads.
        *("$schema", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"),
        *("pattern", "patternProperties"),
        *("$vocabulary", "$comment", "format", "contentEncoding", "contentMediaType", "contentSchema"),
    )
)


class Unusable(ValueError):
    """A tool that cannot be offered; the message says why."""


@dataclass(frozen=True)
class Offer:
    """A tool as its server describes it. `hints`: whether it says that it only reads, and that it is idempotent."""

    name: str
    description: str
    schema: JsonObject
    reads_only: bool = False
    idempotent: bool = False


@dataclass(frozen=True)
class Offered:
    """All that one server has, under its configuration."""

    server: str
    limits: McpLimits
    offers: Sequence[Offer]


def specs_of(found: Sequence[Offered], taken: Sequence[str]) -> tuple[list[ToolSpec], list[str]]:
    """The tools of all servers, with names that differ from each other and from those `taken`; and what was left out.

    Raises:
        Unusable: they are too many, or too large together.
    """
    names = Names(taken)
    specs: list[ToolSpec] = []
    notes: list[str] = []
    for one in found:
        wanted = [offer for offer in one.offers if _is_wanted(offer.name, one.limits)]
        for offer in wanted:
            try:
                specs.append(_spec(one, offer, names))
            except Unusable as error:
                notes.append(f"MCP server {one.server!r}: its tool {clean(offer.name, 100)!r} is left out: {error}")
        notes.extend(_missing(one))
    _check_size(specs)
    return specs, notes


class Names:
    """Gives each tool of each server a name; the same ones in the same order get the same names."""

    def __init__(self, taken: Sequence[str]) -> None:
        self._taken = set(taken)

    def of(self, server: str, tool: str) -> str:
        """`server__tool`, of letters, digits, `_` and `-`, at most 64; with a digest where that would be ambiguous."""
        plain = f"{_plain(server, 24)}__{_plain(tool, LONGEST_NAME)}"
        if len(plain) > LONGEST_NAME or plain in self._taken:
            digest = hashlib.sha256(f"{server}\0{tool}".encode("utf-8", "replace")).hexdigest()[:8]
            plain = f"{plain[: LONGEST_NAME - 9]}_{digest}"
        if plain in self._taken:
            raise Unusable("there is another one of the same name")
        self._taken.add(plain)
        return plain


def usable(schema: object) -> JsonObject:
    """A schema of arguments that may be given to a model and to a validator: no larger or deeper than bounded, with
    references to its own parts alone.

    Raises:
        Unusable: it is no such schema.
    """
    if not isinstance(schema, dict):
        raise Unusable("its schema is no object")
    made = _schema(cast("JsonObject", schema), 0)
    if made.get("type", "object") != "object":
        raise Unusable("its arguments are no object")
    made = {**made, "type": "object", "properties": made.get("properties", {})}
    size = len(json.dumps(made, ensure_ascii=False).encode("utf-8", "replace"))
    if size > LARGEST_SCHEMA:
        raise Unusable(f"its schema is of {size} bytes, and {LARGEST_SCHEMA} are the most")
    try:
        Draft202012Validator.check_schema(made)
        next(iter(Draft202012Validator(made).iter_errors({})), None)  # finds references that lead nowhere
    except SchemaError as error:
        raise Unusable(f"its schema is wrong: {error.message[:200]}") from None
    except (Unresolvable, UnknownType, RecursionError, ValueError, TypeError, AttributeError) as error:
        raise Unusable(f"its schema cannot be used: {type(error).__name__}") from None
    return made


def clean(text: str, most: int) -> str:
    """One server's words: without control characters and invisible ones, at most `most` characters."""
    plain = _CONTROL.sub(" ", text.replace("\r\n", "\n")).encode("utf-8", "replace").decode()
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def chosen(name: str, patterns: Mapping[str, Any]) -> Any:
    """The value of the first pattern that fits; None when none does."""
    return next((value for pattern, value in patterns.items() if fnmatch.fnmatchcase(name, pattern)), None)


def _is_wanted(name: str, limits: McpLimits) -> bool:
    return not limits.tools or any(fnmatch.fnmatchcase(name, pattern) for pattern in limits.tools)


def _missing(one: Offered) -> list[str]:
    """Tools that were named and are not there."""
    names = [offer.name for offer in one.offers]
    absent = [pattern for pattern in one.limits.tools if not fnmatch.filter(names, pattern)]
    return [f"MCP server {one.server!r} has no tool {pattern!r}" for pattern in absent]


def _spec(one: Offered, offer: Offer, names: Names) -> ToolSpec:
    limits = one.limits
    schema = usable(offer.schema)
    if len(offer.name) > 256:
        raise Unusable("its name is too long")
    return ToolSpec(
        name=names.of(one.server, offer.name),
        skill=MCP,
        description=clean(offer.description, LONGEST_DESCRIPTION),
        parameters=schema,
        tool_class=_class(offer, limits),
        approval=chosen(offer.name, limits.tool_approvals) or limits.approval,
        timeout_s=limits.timeout_s,
        output_limit=limits.output_limit,
        config={"server": one.server, "tool": offer.name},
    )


def _class(offer: Offer, limits: McpLimits) -> ToolClass:
    """What its configuration says; else what the server says, if that is believed; else the safe one."""
    said: ToolClass | None = chosen(offer.name, limits.tool_classes)
    if said is not None:
        return said
    if limits.trust_hints and offer.reads_only:
        return ToolClass.PURE
    return ToolClass.RETRY_SAFE if limits.trust_hints and offer.idempotent else ToolClass.ONCE


def _check_size(specs: Sequence[ToolSpec]) -> None:
    advice = "Name those that are wanted in `tools` of their servers."
    if len(specs) > MOST_TOOLS:
        raise Unusable(f"the MCP servers have {len(specs)} tools, and a model takes {MOST_TOOLS}. {advice}")
    size = sum(len(spec.model_dump_json()) for spec in specs)
    if size > LARGEST_LIST:
        raise Unusable(f"the tools of the MCP servers are of {size} bytes, and {LARGEST_LIST} are the most. {advice}")


def _plain(text: str, most: int) -> str:
    return _NO_NAME.sub("_", text).strip("_")[:most] or "x"


def _schema(schema: JsonObject, depth: int) -> JsonObject:
    """A copy without what is dropped. Names of properties are names, whatever keyword they look like."""
    _check_depth(depth)
    made: JsonObject = {}
    for key, value in schema.items():
        if key in _DROPPED:
            continue
        if key == "$ref" and not (isinstance(value, str) and value.startswith("#")):
            raise Unusable("its schema refers to another document")
        if key in _NAMED_SCHEMAS and isinstance(value, dict):
            inner = cast("JsonObject", value)
            made[key] = {_text(name): _copy(child, depth + 1, _schema) for name, child in inner.items()}
        else:
            made[_text(key)] = _copy(value, depth + 1, _data if key in _VALUES else _schema)
    return made


def _data(value: JsonObject, depth: int) -> JsonObject:
    _check_depth(depth)
    return {_text(key): _copy(child, depth + 1, _data) for key, child in value.items()}


def _copy(value: Any, depth: int, of_object: Callable[[JsonObject, int], JsonObject]) -> Any:
    _check_depth(depth)
    match value:
        case str():
            return _text(value)
        case dict():
            return of_object(cast("JsonObject", value), depth)
        case list():
            return [_copy(child, depth + 1, of_object) for child in cast("list[Any]", value)]
        case _:
            return value


def _text(value: str) -> str:
    return clean(value, LARGEST_SCHEMA)


def _check_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise Unusable("its schema is nested too deep")
