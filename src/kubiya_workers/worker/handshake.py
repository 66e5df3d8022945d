"""Registration: a queue and a key go in, everything a worker is handed comes out."""

import os
import platform
import sys
from pathlib import Path

import kubiya_workers
from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.models import check_offered
from kubiya_workers.contracts.workers import Registered, Registration, SystemInfo
from kubiya_workers.observability import logs
from kubiya_workers.settings.worker import WorkerSettings

from .models.client import ModelClient

log = logs.get(__name__)


async def register(settings: WorkerSettings) -> Registered:
    """Introduce this process to the control plane.

    Raises:
        Refusal: the control plane does not answer, or refuses the key, the queue or one more worker.
        Invalid: the gateway that this worker calls does not have the model that it is told to use.
    """
    own = settings.gateway is not None
    about = system_info(settings.hostname)
    if own:
        about = about.model_copy(update={"models": await _offered(settings)})
    introduction = Registration(
        worker_sdk_version=kubiya_workers.__version__,
        control_plane_url=settings.url,
        system_info=about,
        environment_name=settings.environment,
        heartbeat_interval=settings.heartbeat_interval,
        single_execution=settings.single_execution,
        model=None if own or settings.skip_model_validation else settings.model,
    )
    log.debug("Registering", control_plane=settings.url, queue=settings.queue)
    async with ControlPlaneClient(settings.url, settings.key) as client:
        registered = await client.workers.register(settings.queue, introduction)
    if settings.gateway is None:
        return registered
    return registered.model_copy(update={"litellm_api_url": settings.gateway, "litellm_api_key": settings.gateway_key})


async def _offered(settings: WorkerSettings) -> tuple[str, ...]:
    """The models that a run may name on this worker, which has a gateway of its own; `*` is any."""
    assert settings.gateway is not None
    async with ModelClient(settings.gateway, settings.gateway_key) as gateway:
        names = await gateway.names()
    told = (settings.model, settings.gateway_model)
    if names is not None and not settings.skip_model_validation:
        for model in filter(None, told):
            check_offered(model, names, "the worker's own gateway")
    # What one is told to use is used whatever a run names.
    return ("*",) if settings.model or names is None else tuple({*names, *filter(None, told)})


def system_info(hostname: str) -> SystemInfo:
    return SystemInfo(
        hostname=hostname,
        platform=platform.platform(),
        os_name=platform.system(),
        os_version=platform.release(),
        python_version=platform.python_version(),
        pid=os.getpid(),
        cwd=str(Path.cwd()),
        cpu_count=os.cpu_count(),
        memory_total=_memory_total(),
    )


def _memory_total() -> int | None:
    """Bytes of memory of the machine, where the system tells."""
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
