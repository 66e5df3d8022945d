"""What every renderer can do."""

from typing import Protocol

from kubiya_workers.contracts.events import Delta, Fact, Marker


class Renderer(Protocol):
    """Shows the events of one run, in order, as they come."""

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
