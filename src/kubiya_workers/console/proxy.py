"""The LiteLLMs of this machine: those beside workers, and that of the control plane. Told of by whoever keeps them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
from pydantic import ValidationError

from kubiya_workers.contracts.console import ProxyRecord, ProxyStatus
from kubiya_workers.contracts.errors import Conflict, NotFound, Refusal
from kubiya_workers.contracts.ids import is_safe_name
from kubiya_workers.contracts.usage import UsageBy
from kubiya_workers.launchers import probe
from kubiya_workers.launchers.guard import end_group
from kubiya_workers.launchers.upkeep import records
from kubiya_workers.settings.paths import Paths

from .contact import ControlPlane

_STOP_S = 10.0
_SERVER = "server"


async def statuses(paths: Paths, plane: ControlPlane) -> list[ProxyStatus]:
    """All of them; those that have ended are told of while their keeper's word is there."""
    calls = await _calls(plane)
    found = [(owner, record) for owner, file in _files(paths) if (record := _read(file)) is not None]
    return list(await asyncio.gather(*(_status(owner, record, calls) for owner, record in found)))


async def restart(paths: Paths, plane: ControlPlane, owner: str) -> ProxyStatus:
    """End a LiteLLM, which its keeper then starts again at the same address; calls that come meanwhile wait for it.

    Raises:
        NotFound: there is none of that owner.
        Conflict: it does not run.
    """
    record = next((_read(file) for name, file in _files(paths) if name == owner), None)
    if record is None:
        raise NotFound(f"there is no LiteLLM of {owner}")
    if record.process is None or record.state != "running" or not records.is_alive(record.process):
        raise Conflict(f"the LiteLLM of {owner} is {record.state}: it cannot be restarted now")
    await end_group(record.process.pid, _STOP_S, start=record.process.start)
    return next(status for status in await statuses(paths, plane) if status.owner == owner)


def _files(paths: Paths) -> Iterator[tuple[str, Path]]:
    yield _SERVER, paths.gateway_proxy
    for directory in sorted(paths.upkeeps.glob("*")):
        if is_safe_name(directory.name):
            yield f"worker/{directory.name}", paths.worker_proxy(directory.name)


def _read(file: Path) -> ProxyRecord | None:
    try:
        return ProxyRecord.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None


async def _status(owner: str, record: ProxyRecord, calls: dict[str, int]) -> ProxyStatus:
    is_kept, process = records.is_alive(record.owner), record.process
    lives = is_kept and process is not None and records.is_alive(process)
    state = record.state if is_kept else "stopped"
    if state == "running" and not lives:
        state = "starting"  # its keeper has not noticed yet
    models = tuple(model.model_copy(update={"calls": calls.get(model.model_name)}) for model in record.models)
    return ProxyStatus(
        owner=owner,
        state=state,
        reason=record.reason if is_kept else "whoever kept it is gone",
        url=record.url if lives else None,
        pid=process.pid if process is not None and lives else None,
        memory=_memory(process.pid) if process is not None and lives else None,
        started_at=record.started_at if lives else None,
        restarts=record.restarts,
        healthy=await probe.status_of(record.url, "/health/liveliness") == 200 if lives else None,
        models=models,
        actions=("restart",) if state == "running" else (),
        log="litellm" if owner == _SERVER else owner.replace("worker/", "litellm/", 1),
    )


async def _calls(plane: ControlPlane) -> dict[str, int]:
    """How many calls the control plane knows of, by the name that was asked for; nothing while it is away."""
    try:
        sums = await (await plane.client()).usage.by(UsageBy.MODEL)
    except Refusal:
        return {}
    return {summed.name: summed.calls for summed in sums if summed.name is not None}


def _memory(pid: int) -> int | None:
    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:
        return None
