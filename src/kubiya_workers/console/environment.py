"""The variables of the product as their page shows and changes them. Secrets never leave this process."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from kubiya_workers.contracts.console import EnvironmentPage, EnvironmentVariable, Origin
from kubiya_workers.contracts.errors import Conflict, Invalid, NotFound
from kubiya_workers.launchers import state
from kubiya_workers.launchers.upkeep import records
from kubiya_workers.observability import logs
from kubiya_workers.settings import contexts, saved, variables
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting, Source

log = logs.get(__name__)

_CREDENTIALS = re.compile(r"//[^/@\s]*@")


def page(paths: Paths, source: Source) -> EnvironmentPage:
    """Every variable with its value and where that comes from, and which workers began before the file was written."""
    context = _context(source)
    return EnvironmentPage(
        file=str(paths.saved_environment),
        variables=tuple(_told(variable, source, context) for variable in variables.ALL),
        restart_wanted=tuple(_older(paths)),
    )


def save(paths: Paths, name: str, value: str | None) -> None:
    """Keep a value for what is started from now on; None takes it away.

    Raises:
        NotFound: there is no such variable.
        Conflict: it is none that can be saved.
        Invalid: the value cannot be used; it is not repeated.
        BadSetting: the home cannot be written.
    """
    variable = next((known for known in variables.ALL if known.name == name), None)
    if variable is None:
        raise NotFound(f"there is no variable {name}")
    if name in saved.FIXED:
        raise Conflict(f"{name} is not set here", fix="set it in the environment that workers are started in")
    value = (value or "").strip()
    if value:
        try:
            variable.parse(value)
        except ValueError as error:
            raise Invalid(f"{name} must be {error}") from None
    file = paths.saved_environment
    values = {known: text for known, text in saved.read(file).items() if known != name}
    try:
        state.make_private(file.parent)
        state.replace(file, saved.as_text(values | ({name: value} if value else {})))
    except OSError as error:
        raise state.unwritable(file, error) from error
    log.info("A variable was saved" if value else "A saved variable was removed", name=name)


def _told(variable: variables.AnyVariable, source: Source, context: Mapping[str, str]) -> EnvironmentVariable:
    text, origin = _in_force(variable, source, context)
    default = variable.shown_default or (str(variable.default) if variable.default not in ("", None) else None)
    return EnvironmentVariable(
        name=variable.name,
        meaning=variable.meaning,
        default=default,
        value=None if variable.secret or not text else _CREDENTIALS.sub("//***@", text),
        is_set=bool(text),
        secret=variable.secret,
        origin=origin,
        editable=variable.name not in saved.FIXED,
        needs_restart=True,  # each process reads its settings once, when it starts
    )


def _in_force(variable: variables.AnyVariable, source: Source, context: Mapping[str, str]) -> tuple[str, Origin]:
    name = variable.name
    if text := source.environ.get(name, "").strip():
        return text, Origin.ENVIRONMENT
    if text := source.saved.get(name, "").strip():
        return text, Origin.SAVED
    if text := context.get(name, ""):
        return text, Origin.CONTEXT
    return "", Origin.DEFAULT


def _context(source: Source) -> Mapping[str, str]:
    try:
        found = contexts.in_force(source)
    except BadSetting:
        return {}  # the doctor says so
    return found[1].values(source) if found else {}


def _older(paths: Paths) -> list[str]:
    try:
        written = datetime.fromtimestamp(paths.saved_environment.stat().st_mtime, UTC)
    except OSError:
        return []
    kept = (record for record in records.all_(paths) if not record.state.is_over)
    return [record.queue for record in kept if (record.worker_started_at or record.started_at) < written]
