from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.ports import free_port

from kubiya_workers.control_plane.engine.embedded import EmbeddedTemporal
from kubiya_workers.launchers.guard import Guard


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def address(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A real embedded Temporal, one for the tests of a file."""
    home: Path = tmp_path_factory.mktemp("temporal")
    with Guard.start() as guard:
        server = EmbeddedTemporal(
            database=home / "temporal.db", log_file=home / "temporal.log", port=free_port(), guard=guard
        )
        async with server as address:
            yield address
