"""Environments: variables, secrets and queues that belong together. One called `default` always exists."""

from typing import Any

from pydantic import Field

from .agents import ExecutionEnvironment
from .ids import EnvironmentId
from .wire import JsonObject, Timestamp, Wire

DEFAULT_ENVIRONMENT = "default"


class Environment(Wire):
    id: EnvironmentId
    name: str
    display_name: str | None = None
    description: str | None = None
    status: str = "active"
    settings: JsonObject = {}
    execution_environment: ExecutionEnvironment | None = None
    tags: tuple[str, ...] = ()
    created_at: Timestamp
    updated_at: Timestamp


class NewEnvironment(Wire):
    name: str = Field(min_length=1, max_length=63)
    display_name: str | None = None
    description: str | None = None
    settings: JsonObject = {}
    execution_environment: ExecutionEnvironment | None = None
    tags: tuple[str, ...] = ()


class EnvironmentPatch(Wire):
    display_name: str | None = None
    description: str | None = None
    status: str | None = None
    settings: JsonObject | None = None
    execution_environment: ExecutionEnvironment | None = None
    tags: tuple[str, ...] | None = None

    def changes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)
