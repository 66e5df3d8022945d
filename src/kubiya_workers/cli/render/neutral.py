"""Text that came from a model or a tool, made harmless to a terminal."""

import re

_DANGEROUS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except newline and tab, the ones that turn the direction of text, and halves of characters."""


def neutral(text: str) -> str:
    """The text with every control character shown instead of obeyed.

    A sequence that a tool prints could otherwise retitle the terminal, hide lines or type into the shell.
    """
    return _DANGEROUS.sub(_shown, text.replace("\r\n", "\n"))


def one_line(text: str, width: int = 80) -> str:
    """The beginning of the text as a single line of at most `width` characters."""
    line = " ".join(neutral(text[: width * 8]).split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"\\u{code:04x}" if code < 0xD800 else "�"
