"""What this worker did, for its log, its heartbeats and its end."""

import time
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of steps; `running` holds the executions whose steps run right now, with how many."""

    completed: int = 0
    failed: int = 0
    seconds: float = 0.0
    running: dict[str, int] = field(default_factory=dict[str, int])
    last_execution: str | None = None
    last_end: float | None = None
    """When a step ended last, on the monotonic clock."""

    def begin(self, execution_id: str) -> None:
        self.last_execution = execution_id
        self.running[execution_id] = self.running.get(execution_id, 0) + 1

    def end(self, execution_id: str, *, ok: bool, seconds: float) -> None:
        left = self.running.pop(execution_id, 1) - 1
        if left > 0:
            self.running[execution_id] = left
        self.completed, self.failed = self.completed + ok, self.failed + (not ok)
        self.seconds += seconds
        self.last_end = time.monotonic()

    @property
    def steps(self) -> int:
        """Steps that run right now."""
        return sum(self.running.values())

    @property
    def average_s(self) -> float:
        finished = self.completed + self.failed
        return self.seconds / finished if finished else 0.0
