r"""Prompt templates: `{{name}}` and `{{payload.a.b}}` are replaced, once.

The template is its author's, the values are anybody's: what a value says is never looked at again, so that braces in it
stay braces. `\{{` in a template is two braces.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.jobs import TriggerType

PAYLOAD = "payload"
OF_A_JOB = ("job.id", "job.name", "scheduled_at")
"""What every firing knows."""
LONGEST = 1_000_000
"""Characters of a prompt; a body that a template repeats must not fill the memory."""

_BRACES = re.compile(r"\\\{\{|\{\{(.*?)\}\}|\{\{", re.DOTALL)
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
_RESERVED = {PAYLOAD, "job", "scheduled_at"}
_FIX = (
    "Known are {{job.name}}, {{job.id}}, {{scheduled_at}}, {{payload.a.b}} of a webhook, and {{name}} of a job of the "
    r"type manual: kubiya job trigger --var name=value. Braces themselves are \{{."
)


def names_in(template: str) -> Sequence[str]:
    """Every name that it asks for, in order.

    Raises:
        Invalid: something in braces is no name, or they are not closed.
    """
    found: list[str] = []
    for match in _BRACES.finditer(template):
        if match[0] == r"\{{":
            continue
        name = (match[1] or "").strip()
        if match[1] is None or not _PATH.fullmatch(name):
            shown = match[0] if len(match[0]) <= 60 else match[0][:60] + "…"
            raise Invalid(f"prompt_template: {shown!r} is no variable", fix=_FIX)
        found.append(name)
    return found


def asked_for(template: str) -> Sequence[str]:
    """What is not known without being told, each once."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in names_in(template) if name not in OF_A_JOB))


def check(template: str, trigger: TriggerType) -> None:
    """Whether a job of this type can ever know what its template asks for.

    Raises:
        Invalid: the first name that it cannot know.
    """
    if not template.strip():
        raise Invalid("prompt_template: the prompt is empty")
    for name in names_in(template):
        root = name.partition(".")[0]
        of_hook = trigger is TriggerType.WEBHOOK and root == PAYLOAD
        of_hand = trigger is TriggerType.MANUAL and root not in _RESERVED and root == name
        if name not in OF_A_JOB and not of_hook and not of_hand:
            raise Invalid(f"prompt_template: {{{{{name}}}}} is not known to a job of the type {trigger}", fix=_FIX)


def check_variables(template: str, variables: Mapping[str, str]) -> None:
    """Whether the template asks for all that is given by hand.

    Raises:
        Invalid: it does not, or the name is one that the job gives itself.
    """
    wanted = names_in(template)
    for name in variables:
        if name in _RESERVED or name not in wanted:
            raise Invalid(f"the template of this job has no variable {{{{{name}}}}} to be given")


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """The prompt. Texts stand as they are, all else as JSON.

    Raises:
        Invalid: a name without a value, or a prompt that is too long.
    """
    parts: list[str] = []
    length = end = 0
    for match in _BRACES.finditer(template):
        text = "{{" if match[1] is None else _text(_value(match[1].strip(), values))
        parts += [template[end : match.start()], text]
        end = match.end()
        length += len(parts[-2]) + len(text)
        if length > LONGEST:
            raise Invalid(f"the prompt has more than {LONGEST} characters with what {match[0]} stands for")
    return "".join([*parts, template[end:]])


def _value(name: str, values: Mapping[str, Any]) -> Any:
    found: Any = values
    for step in name.split("."):
        match found:
            case Mapping() if step in found:
                found = cast("Mapping[str, Any]", found)[step]
            case list() if step.isdecimal() and int(step) < len(cast("list[Any]", found)):
                found = cast("list[Any]", found)[int(step)]
            case _:
                raise Invalid(f"the variable {{{{{name}}}}} of the template is not given")
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
