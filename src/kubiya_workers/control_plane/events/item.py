"""One event on its way to readers, encoded once for all of them."""

import json

from kubiya_workers.contracts.events import Delta, Fact, Marker, to_wire


class Item:
    """`seq` is the number of a stored row; None for a live chunk, which has no row yet."""

    __slots__ = ("_payload", "event", "seq")

    def __init__(self, event: Fact | Delta, seq: int | None = None) -> None:
        self.event = event
        self.seq = seq
        self._payload: bytes | None = None

    @property
    def payload(self) -> bytes:
        """Its `event:` and `data:` lines. Encoding costs more than writing, and a run may have fifty readers."""
        if self._payload is None:
            self._payload = encode(self.event)
        return self._payload


def encode(event: Fact | Delta | Marker) -> bytes:
    """The `event:` and `data:` lines of an event, with the empty line that ends it."""
    data = json.dumps(to_wire(event), ensure_ascii=False, separators=(",", ":"))
    return f"event: {event.type}\ndata: {data}\n\n".encode()
