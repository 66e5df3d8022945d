"""uv, which makes environments and installs into them; one start of a home at a time."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from kubiya_workers.settings import variables as v
from kubiya_workers.settings.source import BadSetting, Source

from .locks import FileLock

_LOCKED_WITHIN_S = 600.0
_LOOK_S = 0.05


@contextlib.asynccontextmanager
async def alone(path: Path) -> AsyncGenerator[None]:
    """While it lasts, no other start of this home works on the same environment.

    Raises:
        BadSetting: another start has it for too long.
    """
    lock, loop = FileLock.at(path), asyncio.get_running_loop()
    deadline = loop.time() + _LOCKED_WITHIN_S
    try:
        while not lock.exclusively():
            if loop.time() > deadline:
                raise BadSetting(f"another start has been making this environment for too long: {path}")
            await asyncio.sleep(_LOOK_S)  # a lock has no event to wait for
        yield
    finally:
        lock.close()


async def uv(*words: str) -> None:
    """Run uv.

    Raises:
        BadSetting: it failed; in its own words.
    """
    import uv as installed

    process = await asyncio.create_subprocess_exec(
        installed.find_uv_bin(),
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(),
        start_new_session=True,
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise BadSetting(said.decode(errors="replace").strip() or f"uv ended with status {process.returncode}")


def _environment() -> dict[str, str]:
    """Ours without the secrets; proxies are its business too."""
    proxies = {v.HTTP_PROXY.name, v.HTTPS_PROXY.name, v.ALL_PROXY.name}
    secrets = {variable.name for variable in v.ALL if variable.secret} - proxies
    kept = {name: value for name, value in Source.of_process().environ.items() if name not in secrets}
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):  # of another environment than the one that is made
        kept.pop(name, None)
    return kept
