"""Skills: named bundles of tools with their limits."""

from typing import Any

from pydantic import AliasChoices, Field, computed_field

from .ids import SkillId
from .tools import ToolSpec
from .wire import JsonObject, Timestamp, Wire


class Skill(Wire):
    id: SkillId
    name: str
    description: str | None = None
    type: str
    configuration: JsonObject = {}
    enabled: bool = True
    built_in: bool = False
    created_at: Timestamp
    updated_at: Timestamp

    @computed_field
    @property
    def skill_type(self) -> str:
        """The same value as `type`: clients read either."""
        return self.type


class NewSkill(Wire):
    name: str = Field(min_length=1, max_length=200)
    description: str | None = None
    type: str = Field(validation_alias=AliasChoices("type", "skill_type"))
    configuration: JsonObject = {}
    enabled: bool = True


class SkillPatch(Wire):
    name: str | None = Field(default=None, min_length=1, max_length=200)
    description: str | None = None
    configuration: JsonObject | None = None
    enabled: bool | None = None

    def changes(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class SkillDefinition(Wire):
    """A type of skill that this version has: its tools with default limits, and the schema of its configuration."""

    type: str
    name: str
    description: str
    tools: tuple[ToolSpec, ...]
    configuration_schema: JsonObject
