"""The checks of `kubiya doctor`: each looks at one thing and says what it saw and what to do about it."""

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.errors import Refusal
from kubiya_workers.contracts.models import OFFLINE_MODEL
from kubiya_workers.contracts.wire import Wire
from kubiya_workers.launchers import server
from kubiya_workers.settings import contexts
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.server import ServerSettings
from kubiya_workers.settings.source import BadSetting, Source

from .connect import reach

_SERVER_PACKAGES = ("fastapi", "sqlalchemy", "alembic", "aiosqlite", "uvicorn", "httptools")
_LEAST_FREE, _LITTLE_FREE = 100 * 1024**2, 1024**3
_LARGEST_SKEW_S = 30.0
_INSTALL = "pip install 'kubiya-workers[server]'"


class Result(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


class Finding(Wire):
    """`evidence` is what was seen; `remedy` the next step where it is not well."""

    name: str
    result: Result
    evidence: str
    remedy: str | None = None


def machine(known: ClientSettings, source: Source) -> list[Finding]:
    """What can be seen without asking anybody."""
    found = [python(sys.version_info[:3]), home(known.paths.home), disk(known.paths.home)]
    if (file := contexts.file_of(source)).exists():
        found.append(contexts_file(file))
    if known.url is not None:
        return [*found, Finding(name="server packages", result=Result.SKIP, evidence="another control plane is used")]
    return [*found, packages(find_spec), temporal(source), *_ports(known, source)]


def contexts_file(file: Path) -> Finding:
    """Whether the keys in it are the user's alone."""
    if contexts.open_to_others(file):
        evidence, remedy = f"others of this machine may read {file}, and its keys", f"chmod 600 {file}"
        return Finding(name="contexts", result=Result.WARN, evidence=evidence, remedy=remedy)
    return Finding(name="contexts", result=Result.OK, evidence=f"{file} is its owner's alone")


def python(version: tuple[int, int, int]) -> Finding:
    text = ".".join(map(str, version))
    if version >= (3, 11):
        return Finding(name="python", result=Result.OK, evidence=f"{text} at {sys.executable}")
    return Finding(name="python", result=Result.FAIL, evidence=text, remedy="Use Python 3.11 or later.")


def home(directory: Path) -> Finding:
    """Whether everything can be kept where it belongs; a home that is not there yet is made on first use."""
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        made = "" if existing == directory else " (made on first use)"
        return Finding(name="home", result=Result.OK, evidence=f"{directory} is writable{made}")
    return Finding(
        name="home",
        result=Result.FAIL,
        evidence=f"{existing} is not a directory that can be written",
        remedy="Set KUBIYA_HOME to a directory that can.",
    )


def disk(directory: Path) -> Finding:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    evidence, remedy = f"{free / 1024**3:.1f} GiB free at {existing}", "Free some space, or set KUBIYA_HOME elsewhere."
    if free >= _LITTLE_FREE:
        return Finding(name="disk", result=Result.OK, evidence=evidence)
    return Finding(
        name="disk", result=Result.FAIL if free < _LEAST_FREE else Result.WARN, evidence=evidence, remedy=remedy
    )


def packages(find: Callable[[str], object]) -> Finding:
    missing = [name for name in _SERVER_PACKAGES if find(name) is None]
    if missing:
        evidence = "missing: " + ", ".join(missing)
        return Finding(name="server packages", result=Result.FAIL, evidence=evidence, remedy=_INSTALL)
    return Finding(name="server packages", result=Result.OK, evidence="all importable")


def temporal(source: Source) -> Finding:
    """The embedded Temporal's program; not needed where another Temporal is configured."""
    if host := ServerSettings.of(source).temporal.host:
        return Finding(name="temporal", result=Result.SKIP, evidence=f"TEMPORAL_HOST is {host}")
    beside = Path(sys.executable).with_name("temporal")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("temporal")
    if found is None:
        evidence = "no `temporal` beside this Python or on PATH"
        return Finding(name="temporal", result=Result.FAIL, evidence=evidence, remedy=_INSTALL)
    return Finding(name="temporal", result=Result.OK, evidence=found)


def _ports(known: ClientSettings, source: Source) -> list[Finding]:
    if server.status(known.paths) is not None:
        return [Finding(name="ports", result=Result.OK, evidence="in use by the control plane of this home")]
    settings = ServerSettings.of(source)
    named = {"control plane": (settings.host, settings.port), "temporal": ("127.0.0.1", settings.temporal_port)}
    return [port(name, *address) for name, address in named.items()]


def port(name: str, host: str, number: int) -> Finding:
    """A taken port is no fault: the next free one is used."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            evidence = f"{host}:{number}: {error.strerror}; the next free port will be used"
            return Finding(name=f"port ({name})", result=Result.WARN, evidence=evidence, remedy="Nothing, mostly.")
    return Finding(name=f"port ({name})", result=Result.OK, evidence=f"{host}:{number} is free")


async def services(known: ClientSettings) -> list[Finding]:
    """What the control plane says; an embedded one that does not run is started for it."""
    try:
        async with reach(known, lambda _: None) as reached:
            return [finding async for finding in _asked(reached.client)]
    except (Refusal, BadSetting) as error:
        name = "key" if isinstance(error, Refusal) and error.status in (401, 403) else "control plane"
        return [_failed(name, error)]


async def _asked(cp: ControlPlaneClient) -> AsyncGenerator[Finding, None]:
    health = await cp.health.get()
    for name, check in sorted(health.checks.items()):
        result = Result.OK if check.ok else Result.FAIL
        remedy = None if check.ok else "The control plane's log says more: ~/.kubiya/server/server.log"
        yield Finding(name=f"control plane: {name}", result=result, evidence=check.detail or "answers", remedy=remedy)
    yield Finding(name="control plane", result=Result.OK, evidence=f"{cp.url}, version {health.version}")
    for check in (_key, _model, _clock):
        try:
            yield await check(cp)
        except Refusal as error:
            yield _failed(check.__name__.strip("_"), error)


async def _key(cp: ControlPlaneClient) -> Finding:
    await cp.agents.list(limit=1)
    return Finding(name="key", result=Result.OK, evidence="accepted")


async def _model(cp: ControlPlaneClient) -> Finding:
    model = await cp.models.default()
    if model.value != OFFLINE_MODEL:
        return Finding(name="model", result=Result.OK, evidence=f"{model.value} ({model.provider})")
    return Finding(
        name="model",
        result=Result.WARN,
        evidence=f"only {OFFLINE_MODEL}, which runs the commands of a prompt and understands nothing",
        remedy="Set KUBIYA_LLM_BASE_URL or OPENAI_API_KEY for the control plane, or start an Ollama on this machine.",
    )


async def _clock(cp: ControlPlaneClient) -> Finding:
    """Wrong clocks make timestamps lie, and TLS and leases fail."""
    response = await cp.connection.ask("GET", f"{cp.url}/livez")
    try:
        theirs = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return Finding(name="clock", result=Result.SKIP, evidence="the control plane does not say what time it has")
    skew = abs((datetime.now(UTC) - theirs).total_seconds())
    if skew <= _LARGEST_SKEW_S:
        return Finding(name="clock", result=Result.OK, evidence="agrees with the control plane's")
    evidence = f"{skew:.0f} seconds apart from the control plane's"
    return Finding(name="clock", result=Result.FAIL, evidence=evidence, remedy="Synchronise the clocks, with NTP say.")


def _failed(name: str, error: Refusal | BadSetting) -> Finding:
    remedy = error.fix if isinstance(error, Refusal) else None
    return Finding(name=name, result=Result.FAIL, evidence=str(error), remedy=remedy)


async def all_findings(known: ClientSettings, source: Source) -> list[Finding]:
    local = await asyncio.to_thread(machine, known, source)
    if any(finding.result is Result.FAIL for finding in local):
        skipped = Finding(name="control plane", result=Result.SKIP, evidence="not asked: mend the above first")
        return [*local, skipped]
    return [*local, *await services(known)]
