"""The virtual environment of a queue's worker: layered over the installation of this command, with the user's packages.

    venv made (uv) → our site-packages added to its path → pip, from the wheel that Python carries → requirements.txt

What was done is written down in the environment itself, so that a start with nothing changed does none of it. A part
that was interrupted is done again.
"""

import contextlib
import hashlib
import os
import re
import site
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from kubiya_workers.contracts.wire import Wire
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting

from .state import make_private, unwritable
from .uv import alone, uv

Progress = Callable[[str], None]

PRODUCT = "kubiya-workers"
_REQUIREMENTS = """\
# Python packages for this worker's tools, one a line, as for `pip install -r`. They are installed into venv/ when the
# worker starts, and only when this file has changed. Packages that the worker itself needs keep their versions.
"""
_LAYER = "kubiya-layer.pth"
_STAMP = ".kubiya.json"
_DEBIAN_WHEELS = Path("/usr/share/python-wheels")
_INCLUDE = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[ =]\s*(\S+)", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class _Stamp(Wire):
    """What an environment was made of."""

    python: str = ""
    interpreter: str = ""
    """Which file its Python is: one that was replaced behind its back is not what was made."""
    layer: str = ""
    requirements: str = ""


@dataclass(frozen=True)
class _Place:
    """The files of one environment, and what they have to come to."""

    venv: Path
    requirements: Path
    wanted: _Stamp

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def stamp(self) -> _Stamp:
        try:
            return _Stamp.model_validate_json((self.venv / _STAMP).read_bytes())
        except (OSError, ValidationError):
            return _Stamp()

    def stamped(self, stamp: _Stamp) -> _Stamp:
        fresh = self.venv / f"{_STAMP}.new"
        fresh.write_text(stamp.model_dump_json())
        fresh.replace(self.venv / _STAMP)
        return stamp


async def prepare(paths: Paths, queue: str, *, progress: Progress) -> Path:
    """Make the environment of a queue's worker what it has to be; its Python.

    `progress` is told of what takes long. Packages that somebody installed by hand are kept.

    Raises:
        BadSetting: the requirements cannot be met, in the resolver's words, and nothing was changed; or the
            directory cannot be written.
    """
    try:
        make_private(paths.worker(queue))
        make_private(paths.upkeep(queue))
        place = _place(paths, queue)
        if _is_done(place):
            return place.python
        async with alone(paths.upkeep(queue) / "environment.lock"):
            if not _is_done(place):
                await _bring_about(place, progress)
    except OSError as error:
        raise unwritable(Path(error.filename or paths.worker(queue)), error) from error
    return place.python


def _place(paths: Paths, queue: str) -> _Place:
    requirements = paths.requirements(queue)
    if not requirements.exists():
        requirements.touch(mode=0o600)
        requirements.write_text(_REQUIREMENTS)
    wanted = _Stamp(
        python=f"{sys.version} {getattr(sys, '_base_executable', sys.executable)}",
        layer=f"{_product().version} {os.pathsep.join(_layers())}",
        requirements=_digest(requirements),
    )
    return _Place(paths.venv(queue), requirements, wanted)


def _is_done(place: _Place) -> bool:
    have = place.stamp
    return _is_whole(place, have) and (have.layer, have.requirements) == (place.wanted.layer, place.wanted.requirements)


def _is_whole(place: _Place, have: _Stamp) -> bool:
    """Whether its Python is the one that was made, of the Python that runs us."""
    return have.python == place.wanted.python and have.interpreter == _identity(place.python) != ""


def _identity(python: Path) -> str:
    """Of the file behind all links; empty when there is none."""
    try:
        stat = python.stat()
    except OSError:
        return ""
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"


async def _bring_about(place: _Place, progress: Progress) -> None:
    wanted, have = place.wanted, place.stamp
    if not _is_whole(place, have):
        progress(f"Making {place.venv}")
        await uv("venv", "--quiet", "--no-project", "--clear", "--python", sys.executable, str(place.venv))
        place.venv.chmod(0o700)
        await _install_pip(place, progress)
        have = place.stamped(_Stamp(python=wanted.python, interpreter=_identity(place.python)))
    if have.layer != wanted.layer:
        _add_layer(place)
        have = place.stamped(have.model_copy(update={"layer": wanted.layer, "requirements": ""}))
    if have.requirements != wanted.requirements:
        await _install_requirements(place, progress)
        place.stamped(have.model_copy(update={"requirements": wanted.requirements}))


def _layers() -> list[str]:
    """The directories that this command's own packages come from."""
    found = [*site.getsitepackages(), *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])]
    return [directory for directory in found if os.path.isdir(directory)]


def _add_layer(place: _Place) -> None:
    """Behind the environment's own packages, and with what our packages' `.pth` files say."""
    own = next((place.venv / "lib").glob("python3*/site-packages"))
    lines = [f"import site; site.addsitedir({directory!r})\n" for directory in _layers()]
    (own / _LAYER).write_text("".join(lines))


async def _install_pip(place: _Place, progress: Progress) -> None:
    wheels = [wheel for directory in (_bundled_wheels(), _DEBIAN_WHEELS) for wheel in directory.glob("pip-*.whl")]
    source = ["--offline", "--no-index", "--no-deps", str(wheels[0])] if wheels else ["pip"]
    try:
        await uv("pip", "install", "--quiet", "--python", str(place.python), *source)
    except BadSetting as error:
        progress(f"The environment is without pip: {error}")


def _bundled_wheels() -> Path:
    """Where Python keeps the wheel of its pip, unless somebody packaged it without."""
    spec = find_spec("ensurepip")
    return Path(spec.origin).parent / "_bundled" if spec and spec.origin else _DEBIAN_WHEELS


async def _install_requirements(place: _Place, progress: Progress) -> None:
    """uv resolves and builds everything before it changes anything."""
    lines = place.requirements.read_bytes().splitlines()  # what is no text, uv says in its own words
    if not any(line.strip() and not line.lstrip().startswith(b"#") for line in lines):
        return
    progress(f"Installing {place.requirements}")
    constraints = place.venv / ".kubiya-constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in sorted(_pinned().items())))
    try:
        await uv(
            *("pip", "install", "--quiet", "--python", str(place.python)),
            *("--requirements", str(place.requirements), "--constraints", str(constraints)),
        )
    except BadSetting as error:
        raise BadSetting(f"{place.requirements} cannot be installed: {error}") from None


def _pinned() -> dict[str, str]:
    """The product and every installed package that it needs, with its version: another one could break it."""
    found = {PRODUCT: _product().version}
    waiting = [_product()]
    while waiting:
        current = waiting.pop()
        for requirement in current.requires or ():
            name = _NAME.match(requirement)
            if name is None or (plain := name.group().lower().replace("_", "-")) in found:
                continue
            with contextlib.suppress(PackageNotFoundError):  # it is of an extra, or of another system
                needed = distribution(plain)
                found[plain] = needed.version
                waiting.append(needed)
    return found


def _product() -> Distribution:
    return distribution(PRODUCT)


def _digest(requirements: Path) -> str:
    """Of the file and of those that it includes."""
    digest = hashlib.sha256()
    for path in _with_includes(requirements, set()):
        with contextlib.suppress(OSError):  # a file that is missing is the resolver's to name
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _with_includes(path: Path, seen: set[Path]) -> Iterator[Path]:
    if path in seen:
        return
    seen.add(path)
    yield path
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for name in _INCLUDE.findall(path.read_text()):
            yield from _with_includes(path.parent / name, seen)
