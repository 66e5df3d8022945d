"""A Temporal that is configured, and not embedded."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .machine import until


@contextmanager
def temporal_of_ones_own(port: str, log: Path) -> Iterator[str]:
    """On loopback, where its control plane reaches it, and nobody else."""
    command = [Path(sys.executable).with_name("temporal"), "server", "start-dev", "--headless"]
    with log.open("wb") as said:
        process = subprocess.Popen([*command, "--ip=127.0.0.1", f"--port={port}"], stdout=said, stderr=said)
    try:
        until(lambda: b"Temporal Server:" in log.read_bytes(), "Temporal answers")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
