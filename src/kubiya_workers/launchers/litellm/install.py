"""The environment of LiteLLM: made once for each version, by hash, and shared by everything of this home."""

import asyncio
import contextlib
import hashlib
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting

from ..state import make_private, unwritable
from ..uv import alone, uv

VERSION = "1.106.2"
"""Versions 1.82.7 and 1.82.8 were poisoned, and those from 1.81.16 to 1.83.6 can be broken into: never one of these.
Another version is this constant, and its hashes: `make lock` writes `requirements.txt` for it."""
WANTED = (
    f"litellm[proxy]=={VERSION}",
    # For its callbacks `langfuse` and `otel`.
    "langfuse>=4.7,<5",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
)
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_STAMP = ".kubiya"
_TOLD_EVERY_S = 10.0

Progress = Callable[[str], None]


async def prepare(paths: Paths, *, progress: Progress) -> Path:
    """LiteLLM's own Python, installed now if it is not there yet.

    Raises:
        BadSetting: it cannot be installed, or the home cannot be written.
    """
    venv = paths.litellm / VERSION
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    python = venv / "bin" / "python"
    if _is_there(venv, wanted):
        return python
    try:
        make_private(paths.litellm)
        async with alone(paths.litellm / "lock"):
            if not _is_there(venv, wanted):
                await _install(venv, python, progress)
                (venv / _STAMP).write_text(wanted)
    except OSError as error:
        raise unwritable(Path(error.filename or paths.litellm), error) from error
    return python


def _is_there(venv: Path, wanted: str) -> bool:
    with contextlib.suppress(OSError):
        return (venv / _STAMP).read_text() == wanted and (venv / "bin" / "python").exists()
    return False


async def _install(venv: Path, python: Path, progress: Progress) -> None:
    progress(f"Installing LiteLLM {VERSION} into {venv} (once, about 600 MB)")
    async with _telling(progress):
        try:
            await uv("venv", "--quiet", "--no-project", "--clear", "--python", sys.executable, str(venv))
            await uv(
                *("pip", "install", "--quiet", "--python", str(python)),
                *("--require-hashes", "--requirements", str(REQUIREMENTS)),
            )
        except BadSetting as error:
            raise BadSetting(f"LiteLLM {VERSION} cannot be installed: {error}") from None


@contextlib.asynccontextmanager
async def _telling(progress: Progress) -> AsyncGenerator[None]:
    """Say now and then that it is not over yet."""

    async def tell() -> None:
        seconds = 0.0
        while True:
            await asyncio.sleep(_TOLD_EVERY_S)
            seconds += _TOLD_EVERY_S
            progress(f"Installing LiteLLM ({seconds:.0f} s)")

    task = asyncio.create_task(tell())
    try:
        yield
    finally:
        task.cancel()
