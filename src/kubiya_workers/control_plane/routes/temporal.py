"""/temporal: the way to Temporal for registered workers of hosts that cannot reach it themselves."""

from fastapi import APIRouter, WebSocket

from kubiya_workers.contracts.errors import Forbidden, NotFound, Refusal
from kubiya_workers.control_plane.auth import Auth
from kubiya_workers.control_plane.deps import ControlPlane
from kubiya_workers.control_plane.passage import carry
from kubiya_workers.launchers.serving.problems import answer_refusal

router = APIRouter(tags=["workers"])


@router.websocket("/temporal")
async def temporal(websocket: WebSocket) -> None:
    plane: ControlPlane = websocket.app.state.plane
    authorization = websocket.headers.get("authorization")

    async def check() -> None:
        await _check_worker(plane.auth, authorization)

    try:
        await check()
        if not plane.temporal.tunnel:
            raise NotFound("workers reach this Temporal themselves", fix="Set KUBIYA_TEMPORAL_TUNNEL there.")
        await carry(websocket, plane.temporal.host, check)
    except Refusal as refusal:
        await websocket.send_denial_response(answer_refusal(refusal))


async def _check_worker(auth: Auth, authorization: str | None) -> None:
    caller = await auth.authenticate(authorization)
    if caller.worker_id is None:
        raise Forbidden("only a registered worker may reach Temporal", fix="Use the token that it got at registration.")
