"""/tickets: what lets a browser into the web interface, once."""

from fastapi import APIRouter

from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.contracts.keys import Ticket
from kubiya_workers.control_plane.deps import Person, Plane
from kubiya_workers.control_plane.services import signin

router = APIRouter(tags=["keys"])


@router.post("/tickets", status_code=201)
async def make_ticket(plane: Plane, caller: Person) -> Ticket:
    if not plane.settings.web.on:
        raise NotFound("this control plane serves no web interface", fix="Start it with KUBIYA_WEBUI=true.")
    return await signin.give_ticket(plane.database, caller)
