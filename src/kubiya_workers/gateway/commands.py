"""The commands in a prompt: its inline code spans and its lines that begin with `$ `, in the order they appear.

In a fenced code block only the `$ ` lines count: the rest of it is somebody's program or output.
"""

import re
from collections.abc import Iterator

_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})(?P<info>.*)")
_SPAN = re.compile(r"(?<!`)(?P<ticks>`+)(?!`)(?P<code>.+?)(?<!`)(?P=ticks)(?!`)")
_PROMPT = "$ "


def commands_in(text: str) -> tuple[str, ...]:
    """The commands of a prompt, without the blanks around them; none of them is empty or spans lines."""
    return tuple(command for line in _marked(text) if (command := line.strip()))


def _marked(text: str) -> Iterator[str]:
    fence = ""
    for line in text.splitlines():
        mark = _fence_of(line)
        if fence:
            if mark and mark[0] == fence[0] and len(mark) >= len(fence) and line.strip() == mark:
                fence = ""
            elif line.startswith(_PROMPT):
                yield line[2:]
        elif mark:
            fence = mark
        elif line.startswith(_PROMPT):
            # The whole line is the command: backticks in it are the shell's.
            yield line[2:]
        else:
            yield from (_bare(found["code"]) for found in _SPAN.finditer(line))


def _fence_of(line: str) -> str:
    """The mark that this line would open or close a fenced block with; "" when it is none."""
    found = _FENCE.fullmatch(line)
    if found is None or (found["mark"][0] == "`" and "`" in found["info"]):
        return ""
    return found["mark"]


def _bare(code: str) -> str:
    """A span without the shell's prompt that people copy along."""
    return code.strip().removeprefix(_PROMPT)
