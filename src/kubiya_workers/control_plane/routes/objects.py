"""/objects: large bodies by their digest, streamed in and out, for workers."""

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse

from kubiya_workers.contracts.errors import TooLarge
from kubiya_workers.control_plane.deps import Plane, WorkerToken
from kubiya_workers.control_plane.services.objects import MAX_OBJECT

router = APIRouter(prefix="/objects", tags=["objects"])


@router.put("/{sha256}", status_code=204)
async def put_object(request: Request, plane: Plane, caller: WorkerToken, sha256: str) -> None:
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > MAX_OBJECT:
        raise TooLarge(f"an object has at most {MAX_OBJECT:,} bytes")
    await plane.objects.receive(sha256, request.stream())


@router.get("/{sha256}")
async def get_object(plane: Plane, caller: WorkerToken, sha256: str) -> FileResponse:
    path = plane.objects.path(sha256)
    return FileResponse(path, media_type="application/octet-stream", headers={"Cache-Control": "private, immutable"})
