"""/models: what the gateway serves. A model's id may have slashes in it."""

from collections.abc import Sequence

from fastapi import APIRouter

from kubiya_workers.contracts.models import ChosenModel, Model
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.control_plane.deps import Admin, Anyone, Paged, Plane
from kubiya_workers.control_plane.services import models

router = APIRouter(prefix="/models", tags=["models"])


@router.get("")
async def list_models(plane: Plane, caller: Anyone, page: Paged) -> Sequence[Model]:
    return (await plane.models.list())[page.skip : page.skip + page.limit]


@router.get("/default")
async def get_default(plane: Plane, caller: Anyone) -> Model:
    return await models.default(plane.models)


@router.put("/default")
async def set_default(plane: Plane, caller: Admin, chosen: ChosenModel) -> Model:
    return await models.set_default(plane.database, plane.models, chosen.model)


@router.get("/providers")
async def list_providers(plane: Plane, caller: Anyone) -> Sequence[JsonObject]:
    return await models.providers(plane.models)


@router.get("/{ref:path}")
async def get_model(plane: Plane, caller: Anyone, ref: str) -> Model:
    return await models.get(plane.models, ref)
