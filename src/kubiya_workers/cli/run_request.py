"""What `exec` was asked to do, as one value."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Literal

from kubiya_workers.contracts.executions import NewExecution

if TYPE_CHECKING:
    from .plan_files import PlanFile


@dataclass(frozen=True)
class Who:
    """Who runs it: an agent or a team, by id or name."""

    kind: Literal["agent", "team"]
    ref: str


@dataclass(frozen=True)
class WantedPlan:
    """That a run follows a plan: the one in `file`, or, without one, one that is made first.

    `who` is the user's own choice; `again`: although the plan was executed before.
    """

    who: Who | None
    file: "PlanFile | None" = None
    again: bool = False


@dataclass(frozen=True)
class RunRequest:
    """`new` is complete but for the queue of a local run; `timeout` in seconds, None for no limit.

    `directory` is where the tools work: on this machine for a local run, on the worker's otherwise (None: its own).
    """

    who: Who
    new: NewExecution
    local: bool
    environment: str | None
    directory: Path | None
    ask_first: bool
    verbose: bool
    timeout: float | None
    own_gateway: bool = False
    """A worker that is started for it calls a gateway of its own, and not the control plane's."""
    local_queue: str = field(default_factory=lambda: f"local-{token_hex(4)}")
    """The name of the queue that is made for a local run."""
    queues: tuple[str, ...] = ()
    """Two or more, by id or name, where it is to run on each; `new` names none of them."""
    proxy_config: Path | None = None
    """The configuration, checked, of a LiteLLM beside the worker of a local run."""
    find: str | None = None
    """A pattern for the agent's name or description, instead of its name."""
    plan: WantedPlan | None = None
    plan_file: "PlanFile | None" = None
    """Of the plan that it follows; it is told of the run."""
    idempotency_key: str | None = None
    """Two submits with the same one are one run."""


class Unclear(Exception):
    """The words do not say what to run."""


def who_and_prompt(words: tuple[str, ...]) -> tuple[Who | None, str]:
    """`agent ID PROMPT…` and `team ID PROMPT…` name who runs it; anything else is a prompt, its words joined.

    A prompt that begins with the word `agent` or `team` is given as one quoted word.

    Raises:
        Unclear: an agent or a team without a prompt.
    """
    match words:
        case (("agent" | "team") as kind, ref, *prompt) if prompt:
            return Who(kind, ref), " ".join(prompt)
        case (("agent" | "team") as kind, word):
            what = "an agent" if kind == "agent" else "a team"
            raise Unclear(
                f"'{kind} {word}' needs {what} and a prompt: kubiya exec {kind} {shlex.quote(word)} PROMPT; quote a "
                f"prompt that begins with '{kind}'."
            )
        case _:
            return None, " ".join(words)
