"""Skills. A skill is named by id or by name."""

from pydantic import TypeAdapter

from kubiya_workers.contracts.skills import NewSkill, Skill, SkillDefinition, SkillPatch

from .connection import Connection
from .paths import part

_ONE = TypeAdapter(Skill)
_MANY = TypeAdapter(list[Skill])
_DEFINITIONS = TypeAdapter(list[SkillDefinition])


class Skills:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def definitions(self) -> list[SkillDefinition]:
        """The types of skills that this control plane knows."""
        return await self._connection.get("/skills/definitions", _DEFINITIONS)

    async def list(self, *, skip: int = 0, limit: int = 100) -> list[Skill]:
        return await self._connection.get("/skills", _MANY, {"skip": skip, "limit": limit})

    async def get(self, skill: str) -> Skill:
        return await self._connection.get(f"/skills/{part(skill)}", _ONE)

    async def create(self, new: NewSkill) -> Skill:
        return await self._connection.put("POST", "/skills", _ONE, new)

    async def edit(self, skill: str, patch: SkillPatch) -> Skill:
        return await self._connection.put("PATCH", f"/skills/{part(skill)}", _ONE, patch)

    async def delete(self, skill: str) -> None:
        await self._connection.send("DELETE", f"/skills/{part(skill)}")
