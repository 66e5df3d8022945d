"""What every renderer can do."""

from typing import Protocol

from kubiya_workers.contracts.events import Delta, Fact, Marker, ToolStarted


class Renderer(Protocol):
    """Shows the events of one run, in order, as they come."""

    @property
    def shows_members(self) -> bool:
        """Whether it wants the events of the runs that a team's run delegates."""
        ...

    def member(self, started: ToolStarted, event: Fact | Delta | Marker) -> None:
        """An event of the member's run that this call of the team's began."""
        ...

    def event(self, event_id: str, event: Fact | Delta | Marker) -> None: ...

    def status(self, what: str) -> None:
        """What is being waited for, until the next event."""
        ...

    def note(self, text: str) -> None:
        """Something about the run that is not an event of it."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found."""
        ...
