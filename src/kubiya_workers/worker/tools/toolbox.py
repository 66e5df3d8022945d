"""Runs one tool call under its limits, and turns whatever comes of it into a result."""

import asyncio
import time
from collections.abc import Callable, Mapping

from kubiya_workers.contracts.mcp import MCP
from kubiya_workers.contracts.tools import ToolRequest, ToolResult, ToolSpec, ToolStatus, Workspace
from kubiya_workers.launchers.guard import Guard
from kubiya_workers.settings.source import Source

from . import arguments, environment, file_system, http, shell
from .call import Call, Implementation, Outcome, ToolFault
from .mcp import Servers
from .output import readable

_IMPLEMENTATIONS: Mapping[tuple[str, str], Implementation] = {
    ("shell", "shell"): shell.run,
    ("file_system", "read_file"): file_system.read_file,
    ("file_system", "write_file"): file_system.write_file,
    ("file_system", "list_directory"): file_system.list_directory,
    ("file_system", "search_files"): file_system.search_files,
    ("http", "http_request"): http.http_request,
}
_BACKSTOP_S = 5.0
"""How much later than a tool's own time limit the call is ended from outside: the tool's own way says more."""


class Toolbox:
    """The tools of this worker. `base` is the environment from which a few harmless names are passed on; `servers` are
    those whose tools it calls."""

    def __init__(
        self, guard: Guard | None = None, *, base: Mapping[str, str] | None = None, servers: Servers | None = None
    ) -> None:
        self._guard = guard
        self._base = Source.of_process().environ if base is None else base
        self._servers = servers or Servers(guard, base=self._base)

    async def run(self, request: ToolRequest, workspace: Workspace, *, on_output: Callable[[str], None]) -> ToolResult:
        """Run one call; `on_output` gets what the tool prints, as it comes.

        Whatever the model or the tool does wrong is a result whose content says what to do. Cancelling the call ends
        all that the tool has started before the cancellation is passed on.
        """
        began = time.monotonic()
        try:
            outcome = await self._outcome(request, workspace, on_output)
        except ToolFault as fault:
            outcome = Outcome(str(fault), status=fault.status, error=str(fault).partition("\n")[0])
        except OSError as error:
            reason = f"The worker's machine refused: {error.strerror or error}"
            outcome = Outcome(f"{reason}. Tell the user.", status=ToolStatus.FAILED, error=reason)
        return ToolResult(
            call_id=request.call_id,
            tool=request.tool,
            status=outcome.status,
            content=readable(outcome.content),
            output=outcome.output,
            error=None if outcome.error is None else readable(outcome.error),
            duration_ms=round((time.monotonic() - began) * 1000),
        )

    async def _outcome(self, request: ToolRequest, workspace: Workspace, on_output: Callable[[str], None]) -> Outcome:
        spec = request.spec
        if spec is None:
            raise ToolFault(f"There is no tool named {request.tool!r}. Use only the tools that you were given.")
        run = self._implementation(request, workspace, spec)
        call = Call(
            spec=spec,
            arguments=arguments.parse(request.arguments, spec.parameters),
            directory=environment.directory_of(workspace),
            environment=environment.of(self._base, workspace, request),
            idempotency_key=request.idempotency_key,
            on_output=on_output,
            guard=self._guard,
        )
        return await _limited(run, call)

    def _implementation(self, request: ToolRequest, workspace: Workspace, spec: ToolSpec) -> Implementation:
        if spec.skill != MCP:
            return _built_in(spec)
        return lambda call: self._servers.call(call, request, workspace)


def _built_in(spec: ToolSpec) -> Implementation:
    found = _IMPLEMENTATIONS.get((spec.skill, spec.name))
    if found is None:
        raise ToolFault(f"This worker cannot run {spec.name!r} of skill {spec.skill!r}: it needs a newer version.")
    return found


async def _limited(run: Implementation, call: Call) -> Outcome:
    limit = asyncio.timeout(call.spec.timeout_s + _BACKSTOP_S)
    try:
        async with limit:
            return await run(call)
    except TimeoutError:
        if not limit.expired():
            raise
        seconds = f"{call.spec.timeout_s:g} s"
        return Outcome(
            f"{call.spec.name} was ended: it took longer than {seconds}.",
            {"timed_out": True},
            ToolStatus.FAILED,
            f"timed out after {seconds}",
        )
