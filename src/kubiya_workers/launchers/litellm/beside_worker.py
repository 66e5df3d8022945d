"""A LiteLLM for one queue's worker."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from kubiya_workers.observability import logs
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import Source

from ..guard import Guard
from ..spec import ModelAccess
from . import config, install
from .proxy import Seat
from .proxy import running as kept_running

log = logs.get(__name__)


@asynccontextmanager
async def running(paths: Paths, queue: str, file: Path, guard: Guard) -> AsyncGenerator[ModelAccess]:
    """Where it answers, for as long as the context lasts.

    Raises:
        BadSetting: the configuration, or the installation, is not possible.
        Unavailable: it does not start.
    """
    checked = config.read(file, Source.of_process().everything)
    python = await install.prepare(paths, progress=_say)
    seat = Seat(python, checked, paths.upkeep(queue), paths.proxy_log(queue), guard)
    async with kept_running(seat, _say) as proxy:
        yield proxy.access


def _say(step: str) -> None:
    log.info(step)
