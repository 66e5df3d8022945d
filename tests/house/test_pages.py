"""The pages of the web interface say what the contracts say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VITEST = ROOT / "ui/node_modules/.bin/vitest"


def test_their_types_are_those_of_the_contracts() -> None:
    done = subprocess.run([sys.executable, "scripts/ui_types.py", "--check"], cwd=ROOT, check=False)
    assert done.returncode == 0, "run scripts/ui_types.py"


@pytest.mark.skipif(not VITEST.exists(), reason="the pages are not built: Node.js 20 or newer is missing")
def test_their_own_tests_pass() -> None:
    done = subprocess.run([VITEST, "run"], cwd=ROOT / "ui", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_their_packages_are_pinned_by_digest_and_by_no_address() -> None:
    packages = json.loads((ROOT / "ui/package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []


def test_their_document_has_no_script_or_style_that_the_policy_would_refuse() -> None:
    document = (ROOT / "ui/index.html").read_text()
    assert "<style" not in document
    assert document.count("<script") == document.count('<script type="module" src="/src/')
