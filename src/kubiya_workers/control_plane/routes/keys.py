"""/keys: only for admins."""

from collections.abc import Sequence

from fastapi import APIRouter
from pydantic import Field

from kubiya_workers.contracts.ids import KeyId
from kubiya_workers.contracts.keys import CreatedKey, Key, ListedKey, NewKey
from kubiya_workers.contracts.wire import Wire
from kubiya_workers.control_plane.deps import Admin, Paged, Plane
from kubiya_workers.control_plane.services import keys

router = APIRouter(prefix="/keys", tags=["keys"])


class BroughtKey(Wire):
    """A key that its user has already and wants accepted here."""

    key: str = Field(min_length=1, max_length=4096, repr=False)
    name: str = "enrolled"


@router.get("")
async def list_keys(plane: Plane, caller: Admin, page: Paged) -> Sequence[ListedKey]:
    return await keys.list_(plane.database, plane.auth.uses, skip=page.skip, limit=page.limit)


@router.post("", status_code=201)
async def create_key(plane: Plane, caller: Admin, new: NewKey) -> CreatedKey:
    return await keys.create(plane.database, new)


@router.post("/enroll")
async def enroll_key(plane: Plane, caller: Admin, brought: BroughtKey) -> Key:
    return await keys.enroll(plane.database, brought.key, name=brought.name)


@router.delete("/{key_id}", status_code=204)
async def revoke_key(plane: Plane, caller: Admin, key_id: KeyId) -> None:
    await keys.revoke(plane.database, plane.auth, key_id)
