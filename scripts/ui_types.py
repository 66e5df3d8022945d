"""Writes `ui/src/contracts.ts`: the types of all that the pages read, from the contracts themselves.

.venv/bin/python scripts/ui_types.py            write it
.venv/bin/python scripts/ui_types.py --check    exit 1 when it does not say what the contracts say
"""

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from kubiya_workers.contracts import (
    agents,
    console,
    events,
    executions,
    jobs,
    models,
    pool,
    queues,
    teams,
    usage,
    workers,
)

FILE = Path(__file__).parents[1] / "ui" / "src" / "contracts.ts"
HEAD = "// Made from the contracts by scripts/ui_types.py: change those, then run it again.\n"
MODULES = (console, events, executions, agents, teams, jobs, models, queues, workers, usage, pool)
SCALARS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    wanted = text()
    if parser.parse_args().check:
        return 0 if FILE.exists() and FILE.read_text() == wanted else 1
    FILE.write_text(wanted)
    return 0


def text() -> str:
    """The whole file."""
    _, schema = models_json_schema([(model, "serialization") for model in exported()], by_alias=True)
    definitions: Mapping[str, Any] = schema["$defs"]
    found = "".join(f"\nexport {declared(name, definitions[name])}\n" for name in sorted(definitions))
    # Models of the same name in two modules: "Session" of executions and of the console.
    return HEAD + re.sub(r"kubiya_workers__contracts__([a-z])(\w+?)__", lambda m: m[1].upper() + m[2], found)


def exported() -> list[type[BaseModel]]:
    """The public models of the modules, each once."""
    found = {
        value
        for module in MODULES
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, BaseModel) and not name.startswith("_")
    }
    return sorted(found, key=lambda model: (model.__module__, model.__name__))


def declared(name: str, schema: Mapping[str, Any]) -> str:
    if schema.get("type") != "object" or "properties" not in schema:
        return f"type {name} = {written(schema)};"
    return f"interface {name} {{\n{''.join(_fields(schema))}}}"


def _fields(schema: Mapping[str, Any]) -> Iterable[str]:
    # What is serialized is always there: a default does not make it optional.
    for name, field in schema["properties"].items():
        key = name if name.isidentifier() else f'"{name}"'
        yield f"  {key}: {written(field)};\n"


def written(schema: Mapping[str, Any]) -> str:
    """A schema as a TypeScript type."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "const" in schema:
        return _literal(schema["const"])
    if "enum" in schema:
        return " | ".join(map(_literal, schema["enum"]))
    if union := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(map(written, union)))
    return _of_type(schema)


def _of_type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if kind == "array":
        return _array(schema)
    return _record(schema) if kind == "object" else SCALARS.get(str(kind), "unknown")


def _array(schema: Mapping[str, Any]) -> str:
    item = written(schema["items"]) if isinstance(schema.get("items"), dict) else "unknown"
    return f"readonly ({item})[]" if " | " in item else f"readonly {item}[]"


def _record(schema: Mapping[str, Any]) -> str:
    values = schema.get("additionalProperties")
    return f"{{ readonly [name: string]: {written(values) if isinstance(values, dict) else 'unknown'} }}"


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


if __name__ == "__main__":
    sys.exit(main())
