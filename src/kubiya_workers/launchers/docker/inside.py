"""What the `kubiya` command in a worker's container says and does: it is there as it is on any machine."""

from pydantic import ValidationError

from kubiya_workers.contracts.errors import Unavailable
from kubiya_workers.contracts.pool import ContainerRef, Seen

from .engine import Docker


def status(docker: Docker, ref: ContainerRef, queue: str) -> Seen | None:
    """How the worker is; None when the container has just ended, or what it says is not understood."""
    try:
        _, out, _ = docker.run_inside(ref.id, ["kubiya", "worker", "status", f"--queue-id={queue}", "-o", "json"])
        return Seen.model_validate_json(out)
    except (Unavailable, ValidationError):
        return None


def command(docker: Docker, ref: ContainerRef, words: list[str]) -> str:
    """Run `kubiya worker …` there; what it prints.

    Raises:
        Unavailable: it failed; in its own words.
    """
    status, out, err = docker.run_inside(ref.id, ["kubiya", "worker", *words])
    if status:
        raise Unavailable(f"in the container {ref.name}: {err.strip() or out.strip()}")
    return out
