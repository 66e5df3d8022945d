"""Which commands a prompt holds."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.gateway.commands import commands_in


@pytest.mark.parametrize(
    ("prompt", "commands"),
    [
        ("Run `git log --oneline -5` and `ls -la`", ("git log --oneline -5", "ls -la")),
        ("first `a`\n$ b\nthen `c`", ("a", "b", "c")),
        ("$ echo `date`", ("echo `date`",)),
        ("``echo `date` ``", ("echo `date`",)),
        ("`$ ls`", ("ls",)),
        ("no command here, it costs $5", ()),
        ("$no", ()),
        ("a ` alone\nand another ` here", ()),
        ("` `", ()),
        ("```\n$ a\nb\n`c`\n```\n`d`", ("a", "d")),
        ("~~~sh\n$ a\n```\n$ b\n~~~\n`c`", ("a", "b", "c")),
        ("````\n```\n`x`\n````\n`y`", ("y",)),
        ("```sh\n$ unclosed", ("unclosed",)),
        ("```one line``` is a span", ("one line",)),
        ("", ()),
    ],
)
def test_commands(prompt: str, commands: tuple[str, ...]) -> None:
    assert commands_in(prompt) == commands


WORD = st.text(string.ascii_letters + "-./ $|", min_size=1, max_size=12).filter(
    lambda t: t.strip(" $") and t == t.strip()
)
PART = st.one_of(st.tuples(st.just("span"), WORD), st.tuples(st.just("line"), WORD), st.tuples(st.just("fence"), WORD))


def _written(kind: str, command: str) -> str:
    match kind:
        case "span":
            return f"please `{command}` now"
        case "line":
            return f"$ {command}"
        case _:
            return f"```\noutput `x`\n$ {command}\n```"


@given(st.lists(PART, max_size=8))
def test_every_command_is_found_in_order(parts: list[tuple[str, str]]) -> None:
    prompt = "\n".join(_written(kind, command) for kind, command in parts)
    expected = tuple(c.removeprefix("$ ").strip() if k == "span" else c for k, c in parts)
    assert commands_in(prompt) == expected


@given(st.text(st.sampled_from("`~$ \na")))
def test_any_text_is_read_and_no_command_is_empty_or_longer_than_a_line(text: str) -> None:
    assert all(command and "\n" not in command and command == command.strip() for command in commands_in(text))
