"""The environment of a tool: what a program needs to run at all, what the execution was given, and nothing else."""

from collections.abc import Mapping

from kubiya_workers.contracts.tools import ToolRequest, Workspace
from kubiya_workers.settings.inherited import harmless

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def of(base: Mapping[str, str], workspace: Workspace, request: ToolRequest) -> dict[str, str]:
    """`base` is the worker's own environment, of which only harmless names pass: never a key or a token."""
    given = {
        "KUBIYA_IDEMPOTENCY_KEY": request.idempotency_key,
        "KUBIYA_EXECUTION_ID": request.execution_id,
    }
    return {"PATH": DEFAULT_PATH, "TERM": "dumb"} | harmless(base) | workspace.env_vars | given
