"""Records the history of each shape, for the version that is about to be released:

    RECORD=0.1 .venv/bin/pytest tests/workflows/record.py

Recorded files are never changed: a new shape, or a new version, adds new ones.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from .conftest import Stage
from .shapes import SHAPES

OF_A_MACHINE = {"stackTrace", "identity"}

VERSION = os.environ.get("RECORD")


def anonymous(value: Any) -> Any:
    """The history without what only says where it was recorded."""
    if isinstance(value, dict):
        return {k: "" if k in OF_A_MACHINE else anonymous(v) for k, v in value.items()}
    if isinstance(value, list):
        return [anonymous(item) for item in value]
    return re.sub(r"\d+@[\w.-]+", "worker", value) if isinstance(value, str) else value


@pytest.mark.skipif(VERSION is None, reason="RECORD names no version")
@pytest.mark.parametrize("name", SHAPES)
async def test_record(stage: Stage, name: str) -> None:
    handle = await SHAPES[name](stage)
    history = await handle.fetch_history()
    path = Path(__file__).parent / "histories" / f"{name}.v{(VERSION or '').replace('.', '_')}.json"
    assert not path.exists(), f"{path.name} is recorded already"
    path.write_text(json.dumps(anonymous(history.to_json_dict()), indent=2) + "\n")
