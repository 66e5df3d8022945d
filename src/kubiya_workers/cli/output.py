"""Data on stdout: text for people, JSON or YAML for programs."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, TypeVar, cast

import click
from pydantic import BaseModel

from .render.neutral import neutral, one_line

Fields = Iterable[tuple[str, object]]
Row = Sequence[object]
F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V", bound=BaseModel)

_UNESCAPED = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]")
_GAP = "  "


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    YAML = "yaml"


def output_option(command: F) -> F:
    """`-o/--output`, given to the command as `output`."""
    kind, meaning = click.Choice([format.value for format in Format]), "How data is printed on stdout."

    def parsed(_: click.Context, __: click.Parameter, word: str) -> Format:
        return Format(word)

    return click.option(
        "-o", "--output", "output", type=kind, default="text", show_default=True, callback=parsed, help=meaning
    )(command)


def show(value: V, output: Format, text: Callable[[V], str]) -> None:
    """One thing; `text` says it for people."""
    _print(text(value) if output is Format.TEXT else encoded(value.model_dump(mode="json"), output))


def show_list(values: Sequence[V], output: Format, heads: Row, row: Callable[[V], Row], *, none: str) -> None:
    """Several things of a kind: a table for people; `none` is said (on stderr) when there are none."""
    if output is not Format.TEXT:
        _print(encoded([value.model_dump(mode="json") for value in values], output))
    elif values:
        _print(table(heads, [row(value) for value in values]))
    else:
        click.echo(none, err=True)


def show_plain(value: object, output: Format, text: str) -> None:
    """Something made of plain lists and objects."""
    _print(text if output is Format.TEXT else encoded(value, output))


def encoded(value: object, output: Format) -> str:
    """The value in a machine's format; what a terminal could obey is escaped in it, which both formats read back."""
    if output is Format.YAML:
        import yaml

        # The library writes some of these characters as they are, and then cannot read them itself.
        harmless = _UNESCAPED.search(json.dumps(value, ensure_ascii=False)) is None
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=harmless).rstrip("\n")
    return escaped(json.dumps(value, ensure_ascii=False, indent=2))


def escaped(text: str) -> str:
    """JSON text whose strings hold nothing that a terminal obeys."""
    return _UNESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def table(heads: Row, rows: Sequence[Row]) -> str:
    """Aligned columns; on a terminal the last one is cropped to fit its width."""
    cells = [[one_line(_cell(cell), 200) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    return "\n".join(_aligned(row, widths, room) for row in cells)


def details(fields: Fields) -> str:
    """One `Name: value` a line, values aligned; fields without a value are left out."""
    shown = [(f"{name}:", _cell(value)) for name, value in fields if value not in (None, "", (), [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    pad = "\n" + " " * (width + len(_GAP))
    return "\n".join(f"{name:<{width}}{_GAP}{pad.join(neutral(value).splitlines())}" for name, value in shown)


def _aligned(row: Sequence[str], widths: Sequence[int], room: int | None) -> str:
    line = _GAP.join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    return line if room is None or len(line) <= room else line[: room - 1] + "…"


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(str(part) for part in cast("Sequence[object]", value)) or "-"
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _print(text: str) -> None:
    click.echo(text)
