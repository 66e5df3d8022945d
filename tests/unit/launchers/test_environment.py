"""A worker's virtual environment: made once, layered over ours, with the user's packages, and never left half-way."""

import asyncio
import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import kubiya_workers
from kubiya_workers.launchers import environment, uv
from kubiya_workers.launchers.environment import prepare
from kubiya_workers.settings.paths import Paths
from kubiya_workers.settings.source import BadSetting

QUEUE = "q"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "a home")


def said(_: str) -> None:
    return None


def python(interpreter: Path, code: str) -> str:
    done = subprocess.run([interpreter, "-P", "-c", code], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def wheels(tmp_path: Path) -> Callable[[str, str], Path]:
    """Makes wheels of one module that says its version, in a directory that can be looked up without a network."""
    directory = tmp_path / "wheels"
    directory.mkdir()

    def make(name: str, version: str) -> Path:
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
        return directory

    return make


def wants(paths: Paths, directory: Path, *lines: str) -> None:
    paths.requirements(QUEUE).write_text("\n".join(["--no-index", f"--find-links {directory}", *lines, ""]))


async def test_it_runs_the_same_product_and_has_pip(paths: Paths) -> None:
    interpreter = await prepare(paths, QUEUE, progress=said)
    assert interpreter == paths.venv(QUEUE) / "bin" / "python"
    assert python(interpreter, "import kubiya_workers as k; print(k.__file__)") == kubiya_workers.__file__
    assert python(interpreter, "import sys; print(sys.prefix)") == str(paths.venv(QUEUE))
    listed = subprocess.run(
        [interpreter.with_name("pip"), "list", "--disable-pip-version-check"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "kubiya-workers" in listed.stdout
    assert paths.requirements(QUEUE).read_text().startswith("#")


async def test_nothing_changed_means_nothing_is_done(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    await prepare(paths, QUEUE, progress=said)
    before = (paths.venv(QUEUE) / ".kubiya.json").stat().st_mtime_ns

    async def never(*words: str) -> None:
        raise AssertionError(f"uv was run: {words}")

    monkeypatch.setattr(environment, "uv", never)
    await prepare(paths, QUEUE, progress=said)
    assert (paths.venv(QUEUE) / ".kubiya.json").stat().st_mtime_ns == before


async def test_requirements_are_installed_when_they_change(paths: Paths, wheels: Callable[[str, str], Path]) -> None:
    interpreter = await prepare(paths, QUEUE, progress=said)
    wheels("kubiyatesta", "1.0")
    directory = wheels("kubiyatesta", "2.0")
    for version in ("1.0", "2.0"):
        wants(paths, directory, f"kubiyatesta=={version}")
        await prepare(paths, QUEUE, progress=said)
        assert python(interpreter, "import kubiyatesta; print(kubiyatesta.VERSION)") == version


async def test_an_included_file_counts(paths: Paths, wheels: Callable[[str, str], Path]) -> None:
    interpreter = await prepare(paths, QUEUE, progress=said)
    wheels("kubiyatestb", "1.0")
    directory = wheels("kubiyatestb", "2.0")
    more = paths.worker(QUEUE) / "more.txt"
    wants(paths, directory, "-r more.txt")
    for version in ("1.0", "2.0"):
        more.write_text(f"kubiyatestb=={version}\n")
        await prepare(paths, QUEUE, progress=said)
        assert python(interpreter, "import kubiyatestb; print(kubiyatestb.VERSION)") == version


@pytest.mark.parametrize(
    "broken", ["kubiya-no-such-package", "click==0.0.1", "kubiya-workers==99", "this is not a requirement"]
)
async def test_a_broken_requirement_changes_nothing(
    paths: Paths, wheels: Callable[[str, str], Path], broken: str
) -> None:
    interpreter = await prepare(paths, QUEUE, progress=said)
    directory = wheels("kubiyatestc", "1.0")
    wants(paths, directory, "kubiyatestc")
    await prepare(paths, QUEUE, progress=said)
    wheels("kubiyatestc", "2.0")
    wheels("click", "0.0.1")
    wants(paths, directory, "kubiyatestc==2.0", broken)
    with pytest.raises(BadSetting, match=broken.split("=", maxsplit=1)[0].split()[0]):
        await prepare(paths, QUEUE, progress=said)
    assert python(interpreter, "import kubiyatestc; print(kubiyatestc.VERSION)") == "1.0"
    assert python(interpreter, "from importlib.metadata import version; print(version('click'))") == _click()


def _click() -> str:
    from importlib.metadata import version

    assert click.__name__ == "click"
    return version("click")


async def test_two_starts_at_once(paths: Paths) -> None:
    first, second = await asyncio.gather(prepare(paths, QUEUE, progress=said), prepare(paths, QUEUE, progress=said))
    assert first == second
    assert python(first, "import kubiya_workers; print('fine')") == "fine"


async def test_a_deleted_or_interrupted_one_is_made_again(paths: Paths) -> None:
    interpreter = await prepare(paths, QUEUE, progress=said)
    interpreter.unlink()
    (paths.venv(QUEUE) / ".kubiya.json").write_text('{"python": "half')
    await prepare(paths, QUEUE, progress=said)
    assert python(interpreter, "import kubiya_workers; print('fine')") == "fine"


async def test_a_python_that_was_replaced_is_made_again(paths: Paths) -> None:
    interpreter = await prepare(paths, QUEUE, progress=said)
    interpreter.unlink()
    interpreter.write_text("#!/bin/sh\nexit 1\n")
    interpreter.chmod(0o700)
    await prepare(paths, QUEUE, progress=said)
    assert python(interpreter, "import kubiya_workers; print('fine')") == "fine"


async def test_what_was_installed_by_hand_is_kept(paths: Paths, wheels: Callable[[str, str], Path]) -> None:
    interpreter = await prepare(paths, QUEUE, progress=said)
    wheels("kubiyatestd", "1.0")
    directory = wheels("kubiyateste", "1.0")
    pip = [interpreter.with_name("pip"), "install", "--quiet", "--no-index", "--find-links", directory, "kubiyatestd"]
    subprocess.run(pip, check=True)
    wants(paths, directory, "kubiyateste")
    await prepare(paths, QUEUE, progress=said)
    assert python(interpreter, "import kubiyatestd, kubiyateste; print(kubiyatestd.VERSION)") == "1.0"


async def test_requirements_that_are_no_text(paths: Paths) -> None:
    await prepare(paths, QUEUE, progress=said)
    paths.requirements(QUEUE).write_bytes(b"\xff\xfe\x00nonsense")
    with pytest.raises(BadSetting, match=r"requirements\.txt"):
        await prepare(paths, QUEUE, progress=said)


async def test_uv_is_given_no_secret(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBIYA_API_KEY", "not-for-uv")
    monkeypatch.setenv("UV_INDEX_URL", "https://packages.example/simple")
    given = uv._environment()  # pyright: ignore[reportPrivateUsage]
    assert "not-for-uv" not in given.values()
    assert given["UV_INDEX_URL"] == "https://packages.example/simple"


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
async def test_a_home_that_cannot_be_written(paths: Paths) -> None:
    paths.home.mkdir()
    paths.home.chmod(0o500)
    with pytest.raises(BadSetting, match="cannot be written"):
        await prepare(paths, QUEUE, progress=said)
