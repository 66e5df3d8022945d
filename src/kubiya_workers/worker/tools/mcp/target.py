"""Where a server is: its configuration, with the values of the execution's variables in place; and what may be asked
of it. Nothing here needs the SDK."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubiya_workers.agent import references
from kubiya_workers.agent.skill_limits import McpLimits
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.tools import Workspace
from kubiya_workers.contracts.wire import JsonObject
from kubiya_workers.settings.inherited import harmless

from ..call import ToolFault
from ..environment import DEFAULT_PATH


@dataclass(frozen=True)
class Program:
    """A server that is started: the words, and all the environment that it gets."""

    words: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Endpoint:
    """A server that is called."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    allow_private: bool = True
    allow_link_local: bool = False


Target = Program | Endpoint
Said = Callable[[str], None]
"""Gets each line that a program prints beside the protocol."""


class Away(ToolFault):
    """A server that is called and does not answer now, as one that is started anew does for a while."""


class Lost(Exception):
    """The connection ended while a call was on its way: whether the call took effect is not known."""


@dataclass(frozen=True)
class ToolCall:
    """What is asked of a server: `name` is the tool's own, `room` the bytes of its answer that are kept."""

    name: str
    arguments: JsonObject
    idempotency_key: str
    room: int
    on_progress: Callable[[str], None]


def target_of(
    limits: McpLimits, workspace: Workspace, directory: Path, base: Mapping[str, str], execution_id: ExecutionId
) -> Target:
    """Of `base`, the worker's own environment, only harmless names pass on; of the execution's variables, those that
    the configuration refers to.

    Raises:
        ToolFault: it refers to a variable that is not there, or would show a secret to all users of the machine.
    """
    fill = _Filler(workspace)
    if limits.command is None:
        headers = {name: fill(value, f"headers.{name}") for name, value in limits.headers.items()}
        url = fill(limits.url or "", "url")
        return Endpoint(url, headers, limits.allow_private, limits.allow_link_local)
    words = (limits.command, *limits.args)
    for number, word in enumerate(words):
        if secret := references.names(word) & set(workspace.secrets):
            place = f"args.{number - 1}" if number else "command"
            raise ToolFault(
                f"{place} refers to the secret {min(secret)}, and the arguments of a program are seen by all users of "
                "its machine; give it to the server in env"
            )
    given = {name: fill(value, f"env.{name}") for name, value in limits.env.items()}
    environment = {"PATH": DEFAULT_PATH} | harmless(base) | given | {"KUBIYA_EXECUTION_ID": execution_id}
    filled = tuple(fill(word, f"args.{number - 1}" if number else "command") for number, word in enumerate(words))
    return Program(filled, directory, environment)


class _Filler:
    """Puts the execution's variables into texts."""

    def __init__(self, workspace: Workspace) -> None:
        self._variables = workspace.env_vars

    def __call__(self, text: str, place: str) -> str:
        try:
            return references.resolved(text, self._variables)
        except references.Unset as unset:
            raise ToolFault(
                f"{place} refers to the variable {unset.name}, which this run does not have; give it with --env or "
                "--secret, or in its environment"
            ) from None
