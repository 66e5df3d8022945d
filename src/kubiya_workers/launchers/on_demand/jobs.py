"""Workers on demand as Jobs of a cluster. They outlive the control plane, and are found by their label."""

import asyncio
from collections.abc import Collection, Mapping

from kubiya_workers.contracts.errors import NotFound
from kubiya_workers.contracts.on_demand import KeptWorker
from kubiya_workers.observability import logs
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.on_demand import KUBERNETES

from ..kubernetes import single
from ..kubernetes.cluster import own_namespace
from ..kubernetes.spec import NAMESPACE
from ..kubernetes.values import Limits
from .port import Ending, Order

log = logs.get(__name__)


class Jobs:
    """One a control plane. `owner` is its name, `settings` those that its workers have, by variable.

    They are in the namespace of a control plane that is a pod, else in that of installations.
    """

    kind = KUBERNETES
    look_s = 2.0
    outlives = True

    def __init__(self, owner: str, image: str, settings: Mapping[str, str]) -> None:
        self._owner = owner
        self._image = image
        self._settings = settings
        self._namespace = own_namespace() or NAMESPACE

    async def start(self, order: Order) -> None:
        usual = Limits()
        spec = single.JobWorker(
            queue=order.name,
            url=order.url,
            key=order.key,
            name=order.name,
            namespace=self._namespace,
            env=self._settings,
            image=self._image,
            cpu=self._settings.get(v.CPU_LIMIT.name, usual.cpu),
            memory=self._settings.get(v.MEMORY_LIMIT.name, usual.memory),
            kept_s=None if order.keep else single.KEPT_S,
        )
        await asyncio.to_thread(single.start, spec, self._owner, log.info)

    async def ended(self, name: str) -> Ending | None:
        try:
            over = await asyncio.to_thread(single.ended, name, self._namespace)
        except NotFound:
            return Ending()
        return None if over is None else Ending(over.status, over.words)

    async def remove(self, name: str) -> None:
        await asyncio.to_thread(single.remove, name, self._namespace)

    async def keep(self, name: str) -> KeptWorker:
        return KeptWorker(
            provisioner=self.kind,
            name=name,
            look=f"kubectl logs -n {self._namespace} job/{name}",
            remove=f"kubectl delete job -n {self._namespace} {name}",
        )

    async def left(self) -> Collection[str]:
        return await asyncio.to_thread(single.left_by, self._owner, self._namespace)

    async def close(self) -> None:
        """They stay, and go on with what they do."""
