"""The LiteLLMs of this machine: those beside workers, and that of the control plane. Told of by whoever keeps them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil

from kubiya_workers.contracts.console import ProxyAction, ProxyRecord, ProxyState, ProxyStatus
from kubiya_workers.contracts.errors import Conflict, NotFound
from kubiya_workers.contracts.ids import is_safe_name
from kubiya_workers.contracts.usage import ModelCalls
from kubiya_workers.launchers import probe
from kubiya_workers.launchers.guard import end_group
from kubiya_workers.launchers.litellm import standing
from kubiya_workers.launchers.upkeep import records
from kubiya_workers.launchers.upkeep.asking import calls_of
from kubiya_workers.observability import logs
from kubiya_workers.settings.paths import Paths

log = logs.get(__name__)

_STOP_S = 10.0
_HEARD_WITHIN_S = 3.0
_LOOK_S = 0.1
SERVER = "server"


async def statuses(paths: Paths) -> list[ProxyStatus]:
    """All of them; those that have ended are told of while their keeper's word is there."""
    found = [(owner, record) for owner, at in _directories(paths) if (record := standing.read(at)) is not None]
    return list(await asyncio.gather(*(_status(paths, owner, record) for owner, record in found)))


def kept(paths: Paths) -> dict[str, ProxyRecord]:
    """What is said of those whose owner lives, by that owner."""
    found = ((owner, standing.read(directory)) for owner, directory in _directories(paths))
    return {owner: record for owner, record in found if record is not None and records.is_alive(record.owner)}


def named(owner: str) -> str:
    """An owner in words."""
    return "the control plane" if owner == SERVER else f"the worker of queue {owner.removeprefix('worker/')}"


async def act(paths: Paths, owner: str, action: ProxyAction) -> ProxyStatus:
    """Stop, start or restart a LiteLLM; how it is once its owner has heard of it, or after a moment.

    A restart ends it, and its owner starts another at the same address: calls that come meanwhile wait for that.
    While it is stopped they are refused.

    Raises:
        NotFound: there is none of that owner.
        Conflict: this cannot be asked of it now.
    """
    directory = next((directory for name, directory in _directories(paths) if name == owner), None)
    record = standing.read(directory) if directory is not None else None
    if directory is None or record is None:
        raise NotFound(f"there is no LiteLLM of {named(owner)}")
    if action not in _actions(record):
        raise Conflict(f"the LiteLLM of {named(owner)} is {_state(record)}: it cannot be asked to {action} now")
    log.info("Asked by a page", action=action, litellm=owner)
    if action == "restart":
        assert record.process is not None  # it runs
        await end_group(record.process.pid, _STOP_S, start=record.process.start)
    else:
        standing.want(directory, stopped=action == "stop")
        await _heard(directory, record)
    return next(status for status in await statuses(paths) if status.owner == owner)


async def _heard(directory: Path, before: ProxyRecord) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _HEARD_WITHIN_S
    while loop.time() < deadline:
        now = standing.read(directory)
        if now is None or now.state != before.state:
            return
        await asyncio.sleep(_LOOK_S)


def _directories(paths: Paths) -> Iterator[tuple[str, Path]]:
    """Where each owner keeps what it says of its LiteLLM."""
    yield SERVER, paths.server
    for directory in sorted(paths.upkeeps.glob("*")):
        if is_safe_name(directory.name):
            yield f"worker/{directory.name}", directory


def _state(record: ProxyRecord) -> ProxyState:
    """How it is, by what the kernel says of its owner and of itself."""
    if not records.is_alive(record.owner):
        return "stopped"
    if record.state == "running" and not records.is_alive(record.process):
        return "starting"  # its keeper has not noticed yet
    return record.state


def _actions(record: ProxyRecord) -> tuple[ProxyAction, ...]:
    """What can be asked of it: nothing where nobody keeps it."""
    if not records.is_alive(record.owner):
        return ()
    match _state(record):
        case "running":
            return ("stop", "restart")
        case "starting" | "failed":
            return ("stop",)
        case "stopped":
            return ("start",)
        case "stopping":
            return ()


async def _status(paths: Paths, owner: str, record: ProxyRecord) -> ProxyStatus:
    is_kept, process = records.is_alive(record.owner), record.process
    lives = is_kept and records.is_alive(process)
    return ProxyStatus(
        owner=owner,
        state=_state(record),
        reason=record.reason if is_kept else "whoever kept it is gone",
        url=record.url if lives else None,
        pid=process.pid if process is not None and lives else None,
        memory=_memory(process.pid) if process is not None and lives else None,
        started_at=record.started_at if lives else None,
        restarts=record.restarts,
        healthy=await probe.status_of(record.url, "/health/liveliness") == 200 if lives else None,
        models=record.models,
        calls=await _calls(paths, owner),
        actions=_actions(record),
        log="litellm" if owner == SERVER else owner.replace("worker/", "litellm/", 1),
    )


async def _calls(paths: Paths, owner: str) -> tuple[ModelCalls, ...]:
    """What a worker called through its own; no word of a control plane's, whose gateway counts."""
    if owner == SERVER:
        return ()
    return await calls_of(records.read(paths, owner.removeprefix("worker/")))


def _memory(pid: int) -> int | None:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None
