"""The pages of the web interface say what the contracts say."""

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
