"""How a command reaches its control plane: the configured one, or the embedded one of this machine."""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import Unauthorized
from kubiya_workers.launchers import server
from kubiya_workers.settings import contexts
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.source import Source

from . import talk
from .running import run

T = TypeVar("T")


@dataclass(frozen=True)
class Reached:
    """A control plane that can be asked. `embedded`: it is the one of this machine's user."""

    client: ControlPlaneClient
    url: str
    key: str = field(repr=False)
    embedded: bool = False


def settings() -> ClientSettings:
    """The settings of this command.

    Raises:
        BadSetting: one of them cannot be used.
    """
    source = Source.of_process()
    context = contexts.in_force(source)
    return ClientSettings.of(source, context[1] if context else None)


@asynccontextmanager
async def reach(
    settings: ClientSettings,
    progress: Callable[[str], None] = talk.note,
    *,
    note: Callable[[str], None] = talk.note,
) -> AsyncGenerator[Reached, None]:
    """The control plane, for as long as the context lasts; an embedded one that does not run is started for it.

    `progress` is told what is waited for, `note` what stays true.

    Raises:
        Unauthorized: an address is configured without a key.
        Unavailable, BadSetting: the embedded one does not start; with its own reason.
    """
    if settings.url is not None:
        if settings.key is None:
            raise Unauthorized(
                f"there is no key for {settings.url}: KUBIYA_API_KEY is not set",
                fix="export KUBIYA_API_KEY=…, or keep it in a context: kubiya config set-context NAME --api-key-stdin",
            )
        async with ControlPlaneClient(settings.url, settings.key) as client:
            yield Reached(client, settings.url, settings.key)
        return
    # Commands that only read start it too: the data is on this machine's disk, whether it runs or not.
    async with server.use(settings, start=True, progress=progress) as endpoint:
        if endpoint.first_key is not None:
            note(f"Made a key for the control plane of this machine: it is in {settings.paths.credentials}")
        async with ControlPlaneClient(endpoint.url, endpoint.key) as client:
            yield Reached(client, endpoint.url, endpoint.key, embedded=True)


def ask(request: Callable[[ControlPlaneClient], Awaitable[T]]) -> T:
    """The answer to one request: what most commands are."""

    async def asking() -> T:
        async with reach(settings(), _aside) as reached:
            return await request(reached.client)

    return run(asking())


def _aside(what: str) -> None:
    """For people only: that a server is started to answer one question is no news for a script's log."""
    if sys.stderr.isatty():
        talk.note(what)
