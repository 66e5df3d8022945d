"""The doctor's checks, those of `kubiya doctor` and of its page: each looks at one thing and says what it saw."""

import asyncio
import platform
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from kubiya_workers import __version__
from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.console import DoctorReport, Finding
from kubiya_workers.contracts.console import FindingResult as Result
from kubiya_workers.contracts.errors import NotFound, Refusal
from kubiya_workers.contracts.models import OFFLINE_MODEL
from kubiya_workers.observability.redaction import Redactor
from kubiya_workers.settings import variables
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.source import BadSetting, Source

from . import machine

Reach = Callable[[], AbstractAsyncContextManager[ControlPlaneClient]]
"""Gives the control plane to be asked, or raises why there is none."""

_LARGEST_SKEW_S = 30.0


async def services(reach: Reach) -> list[Finding]:
    """What the control plane says."""
    try:
        async with reach() as client:
            return [finding async for finding in _asked(client)]
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
    for check in (_key, _gateway, _model, _clock):
        try:
            yield await check(cp)
        except Refusal as error:
            yield _failed(check.__name__.strip("_"), error)


async def _key(cp: ControlPlaneClient) -> Finding:
    await cp.agents.list(limit=1)
    return Finding(name="key", result=Result.OK, evidence="accepted")


async def _gateway(cp: ControlPlaneClient) -> Finding:
    models = await cp.models.list()
    providers = sorted({model.provider for model in models if model.provider})
    evidence = f"{len(models)} models of {', '.join(providers) or 'nobody'}"
    return Finding(name="gateway", result=Result.OK, evidence=evidence)


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


async def all_findings(known: ClientSettings, source: Source, reach: Reach) -> list[Finding]:
    """Every check. The control plane is not asked while this machine is not fit to."""
    local = await asyncio.to_thread(machine.machine, known, source)
    if any(finding.result is Result.FAIL for finding in local):
        skipped = Finding(name="control plane", result=Result.SKIP, evidence="not asked: mend the above first")
        return [*local, skipped]
    return [*local, *await services(reach)]


def fix(known: ClientSettings, source: Source, name: str) -> None:
    """Do what the finding of that name offers.

    Raises:
        NotFound: nothing can be done about it from here.
        BadSetting: it could not be done.
    """
    file = machine.private_files(known, source).get(name)
    if file is None or not file.exists():
        raise NotFound(f"nothing can be done from here about {name!r}")
    try:
        file.chmod(0o600)
    except OSError as error:
        raise BadSetting(f"{file}: {error.strerror}") from None


def report(found: DoctorReport, known: ClientSettings, source: Source) -> str:
    """For others to read: every finding, and no secret of this machine in any form."""
    lines = [
        f"kubiya doctor, version {__version__}, {platform.platform()}, {found.at.isoformat(timespec='seconds')}",
        "",
    ]
    for finding in found.findings:
        lines.append(f"[{finding.result}] {finding.name}: {finding.evidence}")
        if finding.remedy:
            lines.append(f"    remedy: {finding.remedy}")
    return Redactor(secrets_of(known, source)).text("\n".join([*lines, ""]))


def secrets_of(known: ClientSettings, source: Source) -> list[str]:
    """What must be in nothing that leaves this machine."""
    found = [source.text_of(variable.name) for variable in variables.ALL if variable.secret]
    found.append(known.key or "")
    with suppress(OSError):
        found.append(known.paths.credentials.read_text().strip())
    return [value for value in found if value]
