"""Workers on demand as containers of a Docker daemon. They outlive the control plane, and are found by their label."""

import asyncio
from collections.abc import Collection, Mapping

from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.contracts.on_demand import KeptWorker
from kubiya_workers.contracts.pool import Mode
from kubiya_workers.observability import logs
from kubiya_workers.settings.on_demand import DOCKER

from ..docker import single
from ..docker.spec import ContainerWorker
from .port import Ending, Order

log = logs.get(__name__)


class Containers:
    """One a control plane. `owner` is its name, `settings` those that its workers have, by variable."""

    kind = DOCKER
    look_s = 1.0
    outlives = True

    def __init__(self, owner: str, image: str, settings: Mapping[str, str]) -> None:
        self._owner = owner
        self._image = image
        self._settings = settings

    async def start(self, order: Order) -> None:
        spec = ContainerWorker(
            queue=order.name,
            url=order.url,
            key=order.key,
            name=order.name,
            mode=Mode.FOREGROUND,
            env=self._settings,
            image=self._image,
        )
        await asyncio.to_thread(single.start, spec, self._owner, log.info)

    async def ended(self, name: str) -> Ending | None:
        try:
            ending = await asyncio.to_thread(single.ended, name)
        except NotFound:
            return Ending()
        return None if ending is None else Ending(ending.status, ending.words)

    async def remove(self, name: str) -> None:
        await asyncio.to_thread(single.remove, name)

    async def keep(self, name: str) -> KeptWorker:
        return KeptWorker(
            provisioner=self.kind, name=name, look=f"docker logs {name}", remove=f"docker rm --force --volumes {name}"
        )

    async def left(self) -> Collection[str]:
        return await asyncio.to_thread(single.left_by, self._owner)

    async def close(self) -> None:
        """They stay, and go on with what they do."""
