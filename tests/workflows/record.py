"""Records the history of each shape, for the version that is about to be released:

    RECORD=0.1 .venv/bin/pytest tests/workflows/record.py

Recorded files are never changed: a new shape, or a new version, adds new ones.
"""

import os
from pathlib import Path

import pytest

from .conftest import Stage
from .shapes import SHAPES

VERSION = os.environ.get("RECORD")


@pytest.mark.skipif(VERSION is None, reason="RECORD names no version")
@pytest.mark.parametrize("name", SHAPES)
async def test_record(stage: Stage, name: str) -> None:
    handle = await SHAPES[name](stage)
    history = await handle.fetch_history()
    path = Path(__file__).parent / "histories" / f"{name}.v{(VERSION or '').replace('.', '_')}.json"
    assert not path.exists(), f"{path.name} is recorded already"
    path.write_text(history.to_json())
