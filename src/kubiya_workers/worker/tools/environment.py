"""What surrounds a tool: a directory, and as environment what a program needs to run at all, what the execution was
given, and nothing else."""

from collections.abc import Mapping
from pathlib import Path

from kubiya_workers.contracts.tools import ToolRequest, Workspace
from kubiya_workers.settings.inherited import harmless

from .call import ToolFault

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def of(base: Mapping[str, str], workspace: Workspace, request: ToolRequest) -> dict[str, str]:
    """`base` is the worker's own environment, of which only harmless names pass: never a key or a token."""
    given = {
        "KUBIYA_IDEMPOTENCY_KEY": request.idempotency_key,
        "KUBIYA_EXECUTION_ID": request.execution_id,
    }
    return {"PATH": DEFAULT_PATH, "TERM": "dumb"} | harmless(base) | workspace.env_vars | given


def directory_of(workspace: Workspace) -> Path:
    """Raises ToolFault when there is no such directory here."""
    directory = Path(workspace.working_dir).expanduser() if workspace.working_dir else Path.cwd()
    if not directory.is_dir():
        raise ToolFault(
            f"The working directory {directory} does not exist on this worker, so no tool can run. "
            "Tell the user; it is set by the execution's environment."
        )
    return directory.resolve()
