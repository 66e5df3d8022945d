"""Plans on the disk of whoever asked for them: `~/.kubiya/plans/<plan id>.json`, or any file that `--plan-file` names.

A file is written whole, in one step, for its user alone. What it holds may have been written by anybody: it is read as
data, and its id names a file only where it is a safe name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from kubiya_workers.contracts.ids import ExecutionId, is_safe_name
from kubiya_workers.contracts.plans import Plan, SavedPlan
from kubiya_workers.launchers import state

from . import talk
from .exit import Exit, Failed

LARGEST = 8 * 1024 * 1024
"""Bytes of a file that is read."""
_LIST = "`kubiya plan list` shows the plans of this home."


@dataclass
class PlanFile:
    """A plan in its file; each change is on the disk before it counts. `is_kept`: it is one of this home."""

    path: Path
    saved: SavedPlan
    is_kept: bool

    @property
    def is_approved(self) -> bool:
        """By the user: what a file from elsewhere says of that is somebody else's word."""
        return self.is_kept and self.saved.approved

    def approve(self) -> None:
        """Raises OSError."""
        if not self.is_approved:
            self._write(approved=True, approved_at=datetime.now(UTC))

    def executed(self, execution_id: ExecutionId) -> None:
        """Its run was submitted: that is so, whether it can be written down or not."""
        try:
            self._write(executed_at=datetime.now(UTC), execution_id=execution_id)
        except OSError as error:
            talk.note(f"{self.path} could not be marked as executed: {error.strerror}")

    def _write(self, **changes: object) -> None:
        self.saved = self.saved.model_copy(update=changes)
        state.replace(self.path, _text(self.saved))

    def check_not_executed(self) -> None:
        """Raises `Failed`."""
        if self.saved.executed_at is not None:
            raise Failed(
                f"plan {self.saved.plan.plan_id} was executed already, "
                f"at {self.saved.executed_at.isoformat(timespec='seconds')}: execution {self.saved.execution_id}",
                fix=f"Look at it: kubiya execution get {self.saved.execution_id}. Run the plan once more with --again.",
                status=Exit.REFUSED,
            )


class PlanFiles:
    """The plans of a home, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, plan: Plan, prompt: str) -> PlanFile:
        """Keep a new plan.

        Raises:
            Failed: its id cannot name a file. OSError: it cannot be written.
        """
        if not is_safe_name(plan.plan_id):
            raise Failed(f"the control plane answered with a plan whose id is {plan.plan_id[:80]!r}: it is not kept")
        state.make_private(self._directory)
        saved = SavedPlan(plan=plan, prompt=prompt, saved_at=datetime.now(UTC))
        file = PlanFile(self._of(plan.plan_id), saved, is_kept=True)
        state.replace(file.path, _text(file.saved))
        return file

    def find(self, ref: str) -> PlanFile:
        """The plan of this id, or in the file at this path.

        Raises:
            Failed: there is none, or the file holds something else.
        """
        if is_safe_name(ref) and self._of(ref).is_file():
            return self.named(ref)
        path = Path(ref).expanduser().resolve()
        return PlanFile(path, _read(path), is_kept=path.parent == self._directory.resolve())

    def named(self, plan_id: str) -> PlanFile:
        """The plan of this id.

        Raises:
            Failed: there is none.
        """
        path = self.path(plan_id)
        return PlanFile(path, _read(path), is_kept=True)

    def path(self, plan_id: str) -> Path:
        """Where the plan of this id is, whatever the file holds.

        Raises:
            Failed: there is none.
        """
        if not is_safe_name(plan_id) or not self._of(plan_id).is_file():
            raise Failed(f"there is no plan {plan_id[:80]!r} here", fix=_LIST, status=Exit.USAGE)
        return self._of(plan_id)

    def list(self, unreadable: Callable[[str], None]) -> list[SavedPlan]:
        """Newest first; `unreadable` is told of each file that is no plan."""
        found: list[SavedPlan] = []
        for path in self._directory.glob("*.json"):
            try:
                found.append(_read(path))
            except Failed as error:
                unreadable(error.detail)
        return sorted(found, key=lambda saved: saved.saved_at, reverse=True)

    def _of(self, plan_id: str) -> Path:
        return self._directory / f"{plan_id}.json"


def _read(path: Path) -> SavedPlan:
    try:
        if not path.is_file():
            raise _unusable(path, "there is no such file")
        if path.stat().st_size > LARGEST:
            raise _unusable(path, f"it has more than {LARGEST // 1024 // 1024} MiB")
        return SavedPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise _unusable(path, "it is not JSON") from None
        where = ".".join(str(part) for part in first["loc"])
        raise _unusable(path, f"{where}: {first['msg'].lower()}" if where else first["msg"].lower()) from None


def _unusable(path: Path, why: str) -> Failed:
    return Failed(f"{path} is no plan: {why}", fix=_LIST, status=Exit.USAGE)


def _text(saved: SavedPlan) -> str:
    return saved.model_dump_json(indent=2) + "\n"
