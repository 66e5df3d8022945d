"""What reaches a run from outside: follow-up messages, pause and resume, approvals, and the word that it is done."""

from dataclasses import dataclass, field

from kubiya_workers.contracts.activities import ApprovalSignal


@dataclass
class Inbox:
    """Filled by signals at any moment, read by the run between its steps."""

    messages: list[str] = field(default_factory=list[str])
    approvals: dict[str, ApprovalSignal] = field(default_factory=dict[str, ApprovalSignal])
    paused: bool = False
    done: bool = False

    def take_messages(self) -> tuple[str, ...]:
        taken = tuple(self.messages)
        self.messages.clear()
        return taken

    def decide(self, answer: ApprovalSignal) -> None:
        """The first answer counts: a second one cannot change what already ran."""
        self.approvals.setdefault(answer.approval_id, answer)
