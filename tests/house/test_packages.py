"""What is handed on is whole: the wheel, the source distribution, and a wheel that is made of that."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = "kubiya_workers/console/static/index.html"
NEEDED = ("kubiya_workers/gateway/prices.json", "kubiya_workers/launchers/litellm/requirements.txt", PAGES)
BUILT = (ROOT / "src" / PAGES).exists()


def built(source: Path, target: Path, kind: str) -> Path:
    words = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    done = subprocess.run(words, cwd=source, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    (made,) = target.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.skipif(not BUILT, reason="the pages are not built: Node.js 20 or newer is missing")
def test_a_wheel_of_the_source_distribution_is_the_wheel_and_has_the_pages(tmp_path: Path) -> None:
    direct = in_wheel(built(ROOT, tmp_path / "direct", "wheel"))
    assert set(NEEDED) <= direct
    (tmp_path / "unpacked").mkdir()
    source = built(ROOT, tmp_path / "source", "sdist")
    subprocess.run(["tar", "-xzf", str(source), "-C", str(tmp_path / "unpacked")], check=True)
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert (unpacked / "ui" / "package-lock.json").exists(), "the pages can be built from it"
    assert not [name for name in os.listdir(unpacked) if name in (".venv", ".tools", "node_modules")]
    assert in_wheel(built(unpacked, tmp_path / "again", "wheel")) == direct


def test_a_package_without_the_pages_is_not_made_by_accident(tmp_path: Path) -> None:
    """What `make dist` does after `make setup`."""
    for name in ("Makefile", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "scripts").mkdir()
    setup = tmp_path / "scripts" / "setup"
    setup.write_text("#!/bin/sh\n")
    setup.chmod(0o700)
    done = subprocess.run(["make", "dist"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0 and "Node.js" in done.stderr
    assert not (tmp_path / "dist").exists()
