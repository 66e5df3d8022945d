"""Secrets removed from text by their value, in the forms that programs print them in."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast
from urllib.parse import quote, quote_plus

REPLACEMENT = "[redacted]"
SHORTEST = 6
"""Shorter values are left alone: they would match ordinary words and numbers, and blot out text that is no secret."""
SHORTEST_LINE = 16
"""Each line of a secret of several lines (a PEM key) this long counts on its own: programs print it line by line."""


class Redactor:
    """Replaces known values by `[redacted]`: as they are, URL-encoded, JSON-escaped, and in base64.

    Where forms overlap, the leftmost wins, and of those that begin at the same place the longest.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._values = frozenset(values)
        forms = {form for value in self._values for form in _forms(value)}
        self._forms = sorted(forms, key=lambda form: (-len(form), form))
        self._pattern = re.compile("|".join(map(re.escape, self._forms))) if forms else None
        self._by_first: dict[str, list[str]] = {}
        for form in self._forms:
            self._by_first.setdefault(form[0], []).append(form)

    def __repr__(self) -> str:
        return f"Redactor({len(self._values)} values)"

    def also(self, values: Iterable[str]) -> "Redactor":
        """A redactor that knows these values too."""
        return Redactor(self._values.union(values))

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        return self._pattern.sub(REPLACEMENT, text) if self._pattern else text

    def body(self, body: Any) -> Any:
        """`body`, of JSON, with every text in it redacted, in keys too."""
        match body:
            case str():
                return self.text(body)
            case dict():
                pairs = cast("dict[str, Any]", body).items()
                return {self.text(key): self.body(value) for key, value in pairs}
            case list() | tuple():
                return [self.body(value) for value in cast("list[Any]", body)]
            case _:
                return body

    def stream(self) -> "StreamRedactor":
        """For one text that comes in chunks."""
        return StreamRedactor(self)

    def settled(self, text: str) -> tuple[str, str]:
        """What can already be said of the beginning of a longer text: its redacted head, and the tail that may be
        the beginning of a secret and waits for what follows. The tail is shorter than the longest form."""
        if self._pattern is None:
            return text, ""
        head: list[str] = []
        at, held = 0, self._held_from(text, 0)
        while (match := self._pattern.search(text, at)) and match.start() < held:
            head += text[at : match.start()], REPLACEMENT
            at = match.end()
            held = held if held >= at else self._held_from(text, at)
        head.append(text[at:held])
        return "".join(head), text[held:]

    def _held_from(self, text: str, at: int) -> int:
        """The first place from `at` on whose rest of `text` is the beginning, but not the whole, of a form."""
        longest = len(self._forms[0])
        for start in range(max(at, len(text) - longest + 1), len(text)):
            forms = self._by_first.get(text[start])
            if forms and self._may_begin(forms, text[start:]):
                return start
        return len(text)

    @staticmethod
    def _may_begin(forms: list[str], rest: str) -> bool:
        return any(len(form) > len(rest) and form.startswith(rest) for form in forms)


class StreamRedactor:
    """Redacts one text chunk by chunk; what comes out is, joined, what `Redactor.text` makes of the whole.

    Only what may be the beginning of a secret is held back, so ordinary text passes at once.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def feed(self, chunk: str) -> str:
        """What may be shown now."""
        shown, self._held = self._redactor.settled(self._held + chunk)
        return shown

    def close(self) -> str:
        """The rest, at the end of the text."""
        held, self._held = self._held, ""
        return self._redactor.text(held)


class ErrorRedactor:
    """Takes secrets out of the errors in a stream of bytes; what comes before the first error passes untouched.

    An error may quote what the server was sent, its key too; a model has never seen that key, so its tokens need no
    search, which would cost each of them time. It knows secrets of Latin-1 characters, as headers can carry them.
    """

    _WORD = b'"error"'

    def __init__(self, redactor: Redactor) -> None:
        self._stream = redactor.stream()
        self._tail: bytes | None = b""
        """The end of what has passed, in case the word is split; None from the first error on."""

    def feed(self, data: bytes) -> bytes:
        """What may be passed on now."""
        if self._tail is not None:
            if self._WORD not in self._tail + data:
                self._tail = (self._tail + data)[-len(self._WORD) :]
                return data
            self._tail = None
        return self._stream.feed(data.decode("latin-1")).encode("latin-1")

    def close(self) -> bytes:
        """The rest, at the end of the stream."""
        return self._stream.close().encode("latin-1")


def _forms(value: str) -> Iterator[str]:
    for part in {value, value.strip(), *_lines(value)}:
        if len(part) >= SHORTEST:
            yield part
            yield from _url_encoded(part)
            yield from _json_escaped(part)
            yield from _base64_encoded(part)


def _lines(value: str) -> list[str]:
    lines = value.split("\n")
    return [line.strip() for line in lines if len(line.strip()) >= SHORTEST_LINE] if len(lines) > 1 else []


def _url_encoded(value: str) -> Iterator[str]:
    plain = quote(value, errors="replace")
    strict, form = quote(value, safe="", errors="replace"), quote_plus(value, errors="replace")
    for encoded in (plain, strict, form):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda code: code.group().lower(), encoded)


def _json_escaped(value: str) -> Iterator[str]:
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")


def _base64_encoded(value: str) -> Iterator[str]:
    """The characters that the value alone decides, wherever it stands within the encoded text."""
    data = value.encode(errors="surrogatepass")
    for before in range(3):
        # A character holds 6 bits: the first that begins within the value, and the last that ends within it.
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        padded = bytes(before) + data
        yield base64.b64encode(padded).decode()[first:last]
        yield base64.urlsafe_b64encode(padded).decode()[first:last]
