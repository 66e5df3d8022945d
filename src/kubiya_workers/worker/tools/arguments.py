"""A model's arguments: raw text until they are JSON and fit the tool's schema."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing.exceptions import Unresolvable

from kubiya_workers.contracts.wire import JsonObject

from .call import ToolFault

_SHOWN = 500
"""Characters of a complaint that are passed on: a validator quotes the value, which may be of any size."""


def parse(text: str, schema: JsonObject) -> JsonObject:
    """The arguments as an object that fits `schema`; no text at all is an empty object.

    Raises:
        ToolFault: they are not JSON, not an object, or break a rule; the message names the place and the rule.
    """
    try:
        value: Any = json.loads(text if text.strip() else "{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ToolFault(_advice(f"The arguments are not valid JSON: {error}", schema)) from None
    try:
        problem = min(Draft202012Validator(schema).iter_errors(value), key=_depth, default=None)
    except (RecursionError, Unresolvable) as error:
        raise ToolFault(f"The arguments cannot be checked by the tool's schema: {error}. Nothing was run.") from None
    if problem is not None:
        raise ToolFault(_advice(f"The arguments do not fit: at {problem.json_path}: {problem.message}", schema))
    if not isinstance(value, dict):
        raise ToolFault(_advice("The arguments are not a JSON object.", schema))
    if any(not _is_usable(text) for text in _strings(value)):
        raise ToolFault(_advice("The arguments contain a NUL character or half a surrogate pair.", schema))
    return cast(JsonObject, value)


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, held in cast(JsonObject, value).items():
                yield key
                yield from _strings(held)
        case list():
            for held in cast(list[Any], value):
                yield from _strings(held)
        case _:
            pass


def _is_usable(text: str) -> bool:
    """Whether a file, a path or an argument of a program can hold it."""
    return "\0" not in text and text.encode("utf-8", "replace").decode() == text


def _depth(error: ValidationError) -> int:
    return len(error.absolute_path)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _advice(problem: str, schema: JsonObject) -> str:
    shown = problem if len(problem) <= _SHOWN else problem[:_SHOWN] + "…"
    return f"{shown}\nNothing was run. Call the tool again with a JSON object that fits this schema: " + json.dumps(
        schema
    )
