"""What people type as values: files, names, pairs."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel, TypeAdapter, ValidationError

from kubiya_workers.contracts.ids import NAME_RULE, is_safe_name
from kubiya_workers.contracts.priorities import FIRST, LAST, NORMAL, PRIORITIES, Priority
from kubiya_workers.settings.quantities import duration
from kubiya_workers.settings.source import Source

M = TypeVar("M", bound=BaseModel)

_AGO = duration(1, 3_650 * 86_400)


def pairs(words: Iterable[str], option: str) -> dict[str, str]:
    """`K=V` words as a mapping; the later of two wins.

    Raises:
        click.UsageError: a word is not a pair.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals or "\0" in word:
            raise click.UsageError(f"{option} takes NAME=VALUE, not {name or word!r}.")
        found[name] = value
    return found


def queue_name(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A queue's name, which becomes a directory."""
    if value is not None and not is_safe_name(value):
        raise click.BadParameter(f"{value!r} cannot name a queue: {NAME_RULE}.")
    return value


def moment(_: click.Context, __: click.Parameter, word: str | None) -> datetime | None:
    """A time ago, or a moment; one without a zone is of this machine's."""
    if word is None:
        return None
    try:
        return datetime.now(UTC) - timedelta(seconds=_AGO(word))
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(word)
    except ValueError:
        raise click.BadParameter(f"{word!r} is neither a time ago (10m, 2h) nor a moment (RFC 3339).") from None
    return found if found.tzinfo else found.astimezone()


def from_file(path: Path, read: Callable[[str], Any]) -> Any:
    """The content of a file, or a usage error that says what is wrong with it."""
    try:
        return read(path.read_text())
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from None


def given_variables(words: Iterable[str], secrets: Iterable[str]) -> dict[str, str]:
    """What `--env NAME=VALUE` and `--secret NAME` give; the value of a secret is this shell's.

    Raises:
        click.UsageError: a word is not a pair, or the shell has no such variable.
    """
    given, shell = pairs(words, "--env"), Source.of_process().environ
    for name in secrets:
        if name not in shell:
            raise click.UsageError(f"--secret {name}: this shell has no such variable.")
        given[name] = shell[name]
    return given


def mcp_servers(word: str | None) -> dict[str, Any]:
    """What `--mcp-servers` gives: servers by name, also as other programs' files have them, below `mcpServers`."""
    given = json_object(word, "--mcp-servers")
    wrapped = given.get("mcpServers")
    return wrapped if len(given) == 1 and isinstance(wrapped, dict) else given  # pyright: ignore[reportUnknownVariableType]


def system_prompt(text: str | None, file: Path | None) -> str | None:
    """What `--system-prompt` or `--system-prompt-file` says; None where neither is given."""
    if text is not None and file is not None:
        raise click.UsageError("Give --system-prompt or --system-prompt-file, not both.")
    return text if file is None else from_file(file, str)


def json_object(word: str | None, option: str) -> dict[str, Any]:
    """A JSON object typed as a word, or read from the file that `@PATH` names."""
    import json

    if word is None:
        return {}
    try:
        value = from_file(Path(word[1:]), json.loads) if word.startswith("@") else json.loads(word)
    except ValueError as error:
        raise click.UsageError(f"{option} takes a JSON object: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError(f"{option} takes a JSON object.")
    return value  # pyright: ignore[reportUnknownVariableType] - JSON's keys are strings


def made(kind: type[M], **fields: object) -> M:
    """A contract type of the fields that were given; None means that an option was not.

    Raises:
        click.UsageError: a value is out of bounds.
    """
    try:
        return kind.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise click.UsageError(f"{option}: {first['msg']}.") from None


def priority(_: click.Context, __: click.Parameter, word: str | None) -> int:
    """How urgent a run is, by name or number."""
    try:
        return NORMAL if word is None else TypeAdapter[int](Priority).validate_python(word)
    except ValidationError:
        names = ", ".join(f"{name} ({number})" for name, number in PRIORITIES.items())
        raise click.BadParameter(f"{word!r} is none of {names}, nor a number from {FIRST} to {LAST}.") from None


def given_prompt(prompt: str, words: tuple[str, ...]) -> str:
    """The prompt, from stdin where it is `-`, or where there are no words and stdin is a pipe.

    Raises:
        click.UsageError: it is empty.
    """
    import sys

    if prompt == "-" or (not words and not sys.stdin.isatty()):
        prompt = sys.stdin.buffer.read().decode(errors="replace")
    if not prompt.strip():
        raise click.UsageError("The prompt is empty: say what to do.")
    return prompt.encode(errors="replace").decode()  # words of a shell may hold halves of characters


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is lost.

    Raises:
        click.UsageError: nobody is there to be asked.
        click.Abort: the answer is no.
    """
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody is at a terminal to be asked: pass --yes.")
    click.confirm(question, abort=True, err=True)
