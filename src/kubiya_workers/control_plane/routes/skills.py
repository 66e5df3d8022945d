"""/skills."""

from collections.abc import Sequence

from fastapi import APIRouter

from kubiya_workers.agent.skills import definitions
from kubiya_workers.contracts.skills import NewSkill, Skill, SkillDefinition, SkillPatch
from kubiya_workers.control_plane.deps import Client, Paged, Plane
from kubiya_workers.control_plane.services import skills

router = APIRouter(tags=["skills"])


@router.get("/skills")
async def list_skills(plane: Plane, caller: Client, page: Paged) -> Sequence[Skill]:
    return await skills.list_(plane.database, skip=page.skip, limit=page.limit)


@router.post("/skills", status_code=201)
async def create_skill(plane: Plane, caller: Client, new: NewSkill) -> Skill:
    return await skills.create(plane.database, new)


@router.get("/skills/definitions")
async def list_definitions(caller: Client) -> Sequence[SkillDefinition]:
    return definitions()


@router.get("/skills/{ref}")
async def get_skill(plane: Plane, caller: Client, ref: str) -> Skill:
    return await skills.get(plane.database, ref)


@router.patch("/skills/{ref}")
async def change_skill(plane: Plane, caller: Client, ref: str, patch: SkillPatch) -> Skill:
    return await skills.change(plane.database, ref, patch)


@router.delete("/skills/{ref}", status_code=204)
async def delete_skill(plane: Plane, caller: Client, ref: str) -> None:
    await skills.remove(plane.database, ref)
