"""Server-side apply: who has said which field, and what an object is after one more has said something.

Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/, and the merge keys of the built-in types.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
Path = tuple[tuple[str, str], ...]
"""Steps into an object: ("f", a field's name) or ("k", an item's keys as JSON)."""

KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
}
"""By which fields the items of a list are told apart; other lists are said as a whole."""
ATOMIC = {"matchLabels", "nodeSelector", "secretKeyRef", "configMapKeyRef", "fieldRef", "resourceFieldRef", "selector"}
"""Mappings that are said as a whole."""
_NOT_OWNED = {("f", name) for name in ("apiVersion", "kind")}
_NOT_OWNED_METADATA = {
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
}


class Clash(Exception):
    """Fields that others have said otherwise: path as the API writes it, and who."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        super().__init__(str(found))
        self.found = found


def applied(live: Object | None, config: Object, manager: str, *, force: bool) -> Object:
    """The object after `manager` has applied a configuration.

    Raises:
        Clash: another manager has said otherwise.
    """
    after = copy.deepcopy(live) if live is not None else {"apiVersion": config["apiVersion"], "kind": config["kind"]}
    owners = owners_of(after)
    said = set(_leaves(config))
    own = ("Apply", manager)
    clashes: list[tuple[str, str]] = []
    for path in said:
        for owner, paths in owners.items():
            if owner != own and path in paths and _at(after, path) != _at(config, path):
                clashes.append((shown(path), owner[1]))
                if force:
                    paths.discard(path)
    if clashes and not force:
        raise Clash(sorted(clashes))
    given_up = owners.get(own, set()) - said
    for path in sorted(given_up, key=_is_key):  # by its keys an item is found
        if not any(path in paths for owner, paths in owners.items() if owner != own):
            _drop(after, path)
    _merge(after, config)
    owners[own] = said
    after.setdefault("metadata", {})["managedFields"] = _managed(after["apiVersion"], owners)
    return after


def updated(before: Object, after: Object, manager: str) -> Object:
    """The object after `manager` has changed it by another verb: what is different is that manager's alone."""
    owners = owners_of(before)
    changed = {path for path in _leaves(after) if _at(before, path) != _at(after, path)}
    for paths in owners.values():
        paths -= changed
    owners.setdefault(("Update", manager), set()).update(changed)
    after["metadata"]["managedFields"] = _managed(after["apiVersion"], owners)
    return after


def owners_of(thing: Object) -> dict[tuple[str, str], set[Path]]:
    entries = thing.get("metadata", {}).get("managedFields", [])
    return {(entry["operation"], entry["manager"]): set(_parsed(entry["fieldsV1"])) for entry in entries}


def shown(path: Path) -> str:
    text = ""
    for kind, name in path:
        text += (
            f".{name}" if kind == "f" else f"[{','.join(f'{k}={json.dumps(v)}' for k, v in json.loads(name).items())}]"
        )
    return text


def _leaves(thing: Object) -> Iterator[Path]:
    for path in _walk(thing, ()):
        inside_metadata = len(path) > 1 and path[0] == ("f", "metadata") and path[1][1] in _NOT_OWNED_METADATA
        if path[0] not in _NOT_OWNED and path[0] != ("f", "status") and not inside_metadata:
            yield path


def _walk(value: Any, path: Path) -> Iterator[Path]:
    name = path[-1][1] if path else ""
    if isinstance(value, dict) and value and name not in ATOMIC:
        for key, inner in value.items():
            yield from _walk(inner, (*path, ("f", key)))
    elif isinstance(value, list) and value and _keys(path) is not None:
        for item in value:
            yield from _walk(item, (*path, ("k", _key(path, item))))
    elif path:
        yield path


def _keys(path: Path) -> tuple[str, ...] | None:
    name = path[-1][1] if path else ""
    if name == "ports":
        within_pod = any(step[0] == "k" for step in path)
        # A policy's ports are said as a whole.
        return ("containerPort", "protocol") if within_pod else ("port", "protocol") if len(path) == 2 else None
    return KEYS.get(name)


def _key(path: Path, item: Object) -> str:
    defaults = {"protocol": "TCP"}
    return json.dumps({key: item.get(key, defaults.get(key)) for key in _keys(path) or ()}, sort_keys=True)


def _is_key(path: Path) -> bool:
    return len(path) > 1 and path[-2][0] == "k" and path[-1][1] in (_keys(path[:-2]) or ())


def _find(items: list[Object], path: Path, key: str) -> Object | None:
    return next((item for item in items if _key(path, item) == key), None)


def _at(thing: Any, path: Path) -> Any:
    walked: Path = ()
    for step in path:
        if thing is None:
            return None
        thing = thing.get(step[1]) if step[0] == "f" else _find(thing, walked, step[1])
        walked = (*walked, step)
    return thing


def _drop(thing: Any, path: Path) -> None:
    """Take a field away, and what is empty without it."""
    *above, last = path
    parent = _at(thing, tuple(above))
    if parent is None:
        return
    if last[0] == "f":
        parent.pop(last[1], None)
    left = parent if isinstance(parent, dict) else None
    if left is not None and above and above[-1][0] == "k" and set(left) <= set(_keys(tuple(above[:-1])) or ()):
        items = _at(thing, tuple(above[:-1]))
        items.remove(left)


def _merge(into: Object, config: Object, path: Path = ()) -> None:
    for name, value in config.items():
        here: Path = (*path, ("f", name))
        if isinstance(value, dict) and name not in ATOMIC and isinstance(into.get(name), dict):
            _merge(into[name], value, here)
        elif isinstance(value, list) and _keys(here) is not None and isinstance(into.get(name), list):
            for item in value:
                there = _find(into[name], here, _key(here, item))
                if there is None:
                    into[name].append(copy.deepcopy(item))
                else:
                    _merge(there, item, (*here, ("k", _key(here, item))))
        else:
            into[name] = copy.deepcopy(value)


def _managed(api_version: str, owners: dict[tuple[str, str], set[Path]]) -> list[Object]:
    return [
        {
            "manager": manager,
            "operation": operation,
            "apiVersion": api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": _fields(paths),
        }
        for (operation, manager), paths in owners.items()
        if paths
    ]


def _fields(paths: set[Path]) -> Object:
    found: Object = {}
    for path in paths:
        inner = found
        for kind, name in path:
            inner = inner.setdefault(f"{kind}:{name}", {})
    return found


def _parsed(fields: Object, path: Path = ()) -> Iterator[Path]:
    for step, inner in fields.items():
        kind, _, name = step.partition(":")
        here: Path = (*path, (kind, name))
        if inner:
            yield from _parsed(inner, here)
        else:
            yield here
