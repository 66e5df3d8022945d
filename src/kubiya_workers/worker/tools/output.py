"""A tool's output within its limit: the head and the tail are kept, and what is left out is said.

Memory does not grow with the output. Bytes that are no UTF-8 become U+FFFD, and so do NULs, which not every
store can keep.
"""

import codecs
from collections.abc import Callable


def readable(text: str) -> str:
    """`text` without what cannot be stored or sent."""
    return text.replace("\0", "\ufffd")


def capped(text: str, limit: int) -> tuple[str, int]:
    """`text` within `limit` bytes of UTF-8, its head and tail kept; and how many bytes were left out."""
    output = CappedOutput(limit)
    output.feed(text.encode("utf-8", "replace"))
    return output.text(), output.left_out


class CappedOutput:
    """Keeps at most `limit` bytes of what is fed: the first half, and the last half of the rest."""

    def __init__(self, limit: int) -> None:
        self._head_room = limit - limit // 2
        self._tail_room = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        room = self._head_room - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        # Cut in large steps: one cut a chunk would copy the tail for every few bytes.
        if len(self._tail) > 2 * self._tail_room + 65_536:
            self._trim()

    def close(self) -> None:
        """Nothing to do: `text` may be asked for at any time."""

    @property
    def left_out(self) -> int:
        """Bytes that `text` leaves out."""
        return max(0, self._size - self._head_room - self._tail_room)

    def text(self) -> str:
        """What is kept, with a line in the middle that says how many bytes are missing."""
        self._trim()
        if not self.left_out:
            return readable((self._head + self._tail).decode("utf-8", "replace"))
        head = _whole_start(bytes(self._head)).decode("utf-8", "replace")
        tail = _whole_end(bytes(self._tail)).decode("utf-8", "replace")
        return readable(f"{head}\n[… {self.left_out} bytes left out …]\n{tail}")

    def _trim(self) -> None:
        excess = len(self._tail) - self._tail_room
        if excess > 0:
            del self._tail[:excess]


class LiveOutput:
    """Passes output on as it comes, decoded across chunks, until `limit` bytes have been shown."""

    def __init__(self, limit: int, show: Callable[[str], None]) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._left = limit
        self._full = False
        self._show = show

    def feed(self, data: bytes) -> None:
        if self._full:
            return
        self._pass_on(self._decoder.decode(data[: self._left]))
        self._full = len(data) > self._left
        self._left -= len(data)
        if self._full:
            self.close()
            self._show("\n[… more output follows; the result keeps its end …]\n")

    def close(self) -> None:
        """Show what was only half a character, at the end of the output."""
        self._pass_on(self._decoder.decode(b"", final=True))

    def _pass_on(self, text: str) -> None:
        if text:
            self._show(readable(text))


def _whole_start(data: bytes) -> bytes:
    """Without a character at the end whose bytes are not all there."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:
            needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return data[:-back] if needed > back else data
    return data


def _whole_end(data: bytes) -> bytes:
    """Without continuation bytes at the start whose character began before."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]
