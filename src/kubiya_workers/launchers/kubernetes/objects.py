"""Objects of a cluster as plain mappings: what is not said in one is an empty part of it."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from .spec import CONTAINER

Object = dict[str, Any]


def part(thing: Mapping[str, Any], *names: str) -> Object:
    """A mapping within a mapping."""
    found: Any = thing
    for name in names:
        found = cast("Mapping[str, Any]", found).get(name) or {}
    return cast("Object", found)


def entries(thing: Mapping[str, Any], *names: str) -> list[Object]:
    """A list of mappings within a mapping."""
    *within, last = names
    return cast("list[Object]", part(thing, *within).get(last) or [])


def name_of(thing: Object) -> str:
    return thing["metadata"]["name"]


def holds(thing: Mapping[str, Any], condition: str, status: str = "True") -> bool:
    """Whether a condition of an object is known to be so."""
    return any(one["type"] == condition and one["status"] == status for one in entries(thing, "status", "conditions"))


def worker_of(containers: Iterable[Object]) -> Object:
    """The worker's among the containers, or their states, of a pod: others may have been put beside it."""
    nothing: Object = {}
    return next((one for one in containers if one.get("name") == CONTAINER), nothing)
