"""The doctor's checks of this machine: what can be seen without asking anybody."""

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from kubiya_workers.contracts.console import Finding
from kubiya_workers.contracts.console import FindingResult as Result
from kubiya_workers.launchers import console, server
from kubiya_workers.settings import contexts, variables
from kubiya_workers.settings.client import ClientSettings
from kubiya_workers.settings.console import ConsoleSettings
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.proxies import Proxies
from kubiya_workers.settings.server import ServerSettings
from kubiya_workers.settings.source import BadSetting, Source, Variable
from kubiya_workers.settings.trust import Trust

_SERVER_PACKAGES = ("fastapi", "sqlalchemy", "alembic", "aiosqlite", "uvicorn", "httptools")
_LEAST_FREE, _LITTLE_FREE = 100 * 1024**2, 1024**3
_INSTALL = "pip install 'kubiya-workers[server]'"


def machine(known: ClientSettings, source: Source) -> list[Finding]:
    """What can be seen without asking anybody."""
    found = [
        python(sys.version_info[:3]),
        home(known.paths.home),
        disk(known.paths.home),
        settings(source),
        *_private(known, source),
        proxies(source),
        authorities(source),
        *environments(known.paths),
        *_web_interface(known, source),
    ]
    if known.url is not None:
        return [
            *found,
            Finding(name="server packages", result=Result.SKIP, evidence="another control plane is used"),
        ]
    return [*found, packages(find_spec), temporal(source), *_ports(known, source)]


def settings(source: Source) -> Finding:
    """Whether every variable that is set can be used."""
    wrong: list[str] = []
    for variable in variables.ALL:
        try:
            source.get(cast("Variable[object]", variable))
        except BadSetting as error:
            wrong.append(str(error))
    if wrong:
        remedy = "Correct it, or unset it; kubiya config show"
        return Finding(name="environment", result=Result.FAIL, evidence="; ".join(wrong), remedy=remedy)
    count = sum(bool(source.text_of(variable.name)) for variable in variables.ALL)
    return Finding(name="environment", result=Result.OK, evidence=f"{count} variables are set, all usable")


def private_files(known: ClientSettings, source: Source) -> dict[str, Path]:
    """What holds keys, by the name of its check."""
    paths = known.paths
    return {
        "contexts": contexts.file_of(source),
        "credentials": paths.credentials,
        "saved environment": paths.saved_environment,
    }


def _private(known: ClientSettings, source: Source) -> list[Finding]:
    return [private(name, file) for name, file in private_files(known, source).items() if file.exists()]


def private(name: str, file: Path) -> Finding:
    """Whether the keys in a file are the user's alone."""
    if contexts.open_to_others(file):
        evidence, remedy = f"others of this machine may read {file}, and its keys", f"chmod 600 {file}"
        fix = "Let only its owner read it"
        return Finding(name=name, result=Result.WARN, evidence=evidence, remedy=remedy, fix=fix)
    return Finding(name=name, result=Result.OK, evidence=f"{file} is its owner's alone")


def proxies(source: Source) -> Finding:
    """The proxies of the environment; never with what they are told to let us through."""
    try:
        found = Proxies.of(source)
    except BadSetting as error:
        return Finding(name="proxy variables", result=Result.FAIL, evidence=str(error), remedy="Correct it.")
    ways = {"http": found.http, "https": found.https}
    told = [f"{kind} through {urlsplit(url).hostname}" for kind, url in ways.items() if url]
    if not told:
        return Finding(name="proxy variables", result=Result.OK, evidence="none are set")
    beside = f", but for {found.exceptions}" if found.exceptions else ""
    return Finding(name="proxy variables", result=Result.OK, evidence="; ".join(told) + beside)


def authorities(source: Source) -> Finding:
    """Which certificate authorities are trusted."""
    name = "certificate authorities"
    try:
        found = Trust.of(source)
    except BadSetting as error:
        return Finding(name=name, result=Result.FAIL, evidence=str(error), remedy="Correct it, or unset it.")
    where = " and ".join(place for place in (found.file, found.directory) if place)
    evidence = f"those in {where}, instead of the system's" if where else "the system's"
    return Finding(name=name, result=Result.OK, evidence=evidence)


def environments(paths: Paths) -> Iterator[Finding]:
    """The Python of each queue's worker."""
    for directory in sorted(paths.workers.glob("*/venv")):
        queue, python = directory.parent.name, directory / "bin" / "python"
        name = f"packages of queue {queue}"
        if os.access(python, os.X_OK):
            yield Finding(name=name, result=Result.OK, evidence=f"{python} is there")
        else:
            remedy = f"kubiya worker restart --queue-id={queue} makes it anew"
            yield Finding(name=name, result=Result.WARN, evidence=f"there is no {python}", remedy=remedy)


def _web_interface(known: ClientSettings, source: Source) -> Iterator[Finding]:
    name, running = "web interface", console.status(known.paths)
    if (why := console.missing()) is not None:
        yield Finding(name=name, result=Result.WARN, evidence=why, remedy=_INSTALL)
    elif running is not None:
        yield Finding(name=name, result=Result.OK, evidence=f"runs at {running.url}")
    else:
        wanted = ConsoleSettings.of(source)
        yield port("web interface", wanted.host, wanted.port)


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
        name="disk",
        result=Result.FAIL if free < _LEAST_FREE else Result.WARN,
        evidence=evidence,
        remedy=remedy,
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
