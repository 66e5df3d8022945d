"""/agents."""

from collections.abc import Sequence

from fastapi import APIRouter

from kubiya_workers.contracts.agents import Agent, AgentPatch, NewAgent
from kubiya_workers.control_plane.deps import Client, Paged, Plane
from kubiya_workers.control_plane.services import agents

router = APIRouter(tags=["agents"])


@router.get("/agents")
async def list_agents(plane: Plane, caller: Client, page: Paged) -> Sequence[Agent]:
    return await agents.list_(plane.database, skip=page.skip, limit=page.limit)


@router.post("/agents", status_code=201)
async def create_agent(plane: Plane, caller: Client, new: NewAgent) -> Agent:
    return await agents.create(plane.database, new)


@router.get("/agents/{ref}")
async def get_agent(plane: Plane, caller: Client, ref: str) -> Agent:
    return await agents.get(plane.database, ref)


@router.patch("/agents/{ref}")
async def change_agent(plane: Plane, caller: Client, ref: str, patch: AgentPatch) -> Agent:
    return await agents.change(plane.database, ref, patch)


@router.delete("/agents/{ref}", status_code=204)
async def delete_agent(plane: Plane, caller: Client, ref: str) -> None:
    await agents.remove(plane.database, ref)
