"""The workspace of each execution, asked of the control plane once and kept for a while."""

from collections import OrderedDict
from pathlib import Path

from kubiya_workers.client.http import ControlPlaneClient
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.tools import Workspace
from kubiya_workers.observability.redaction import Redactor

_KEPT = 256


class Workspaces:
    """`default_dir` is where tools run when an execution names no directory: the worker's own."""

    def __init__(self, client: ControlPlaneClient, default_dir: Path) -> None:
        self._client = client
        self._default_dir = default_dir
        self._known: OrderedDict[ExecutionId, Workspace] = OrderedDict()

    async def of(self, execution_id: ExecutionId) -> Workspace:
        """The workspace, with a working directory.

        Raises:
            Refusal: the control plane does not answer, or refuses.
        """
        known = self._known.get(execution_id)
        if known is not None:
            return known
        workspace = await self._client.executions.workspace(execution_id)
        if workspace.working_dir is None:
            workspace = workspace.model_copy(update={"working_dir": str(self._default_dir)})
        self._known[execution_id] = workspace
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return workspace


def redactor_of(workspace: Workspace) -> Redactor:
    """Takes the values of the workspace's secrets out of whatever is said."""
    return Redactor(workspace.secret_values().values())
