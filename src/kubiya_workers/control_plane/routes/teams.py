"""/teams."""

from collections.abc import Sequence

from fastapi import APIRouter

from kubiya_workers.contracts.teams import NewTeam, Team, TeamPatch
from kubiya_workers.control_plane.deps import Client, Paged, Plane
from kubiya_workers.control_plane.services import teams

router = APIRouter(tags=["teams"])


@router.get("/teams")
async def list_teams(plane: Plane, caller: Client, page: Paged) -> Sequence[Team]:
    return await teams.list_(plane.database, skip=page.skip, limit=page.limit)


@router.post("/teams", status_code=201)
async def create_team(plane: Plane, caller: Client, new: NewTeam) -> Team:
    return await teams.create(plane.database, new)


@router.get("/teams/{ref}")
async def get_team(plane: Plane, caller: Client, ref: str) -> Team:
    return await teams.get(plane.database, ref)


@router.patch("/teams/{ref}")
async def change_team(plane: Plane, caller: Client, ref: str, patch: TeamPatch) -> Team:
    return await teams.change(plane.database, ref, patch)


@router.delete("/teams/{ref}", status_code=204)
async def delete_team(plane: Plane, caller: Client, ref: str) -> None:
    await teams.remove(plane.database, ref)
