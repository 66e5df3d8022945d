"""What a model proposes, read without trust: text that may hold anything becomes a draft, or the reason why not."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

LONGEST = 200_000
"""Characters of an answer; more is no plan."""
_MOST_TOKENS = 1_000_000_000
_MOST_ITEMS = 20
_LINE, _TEXT = 200, 2_000


class Unusable(Exception):
    """The answer is no plan that can be followed; the message says why, in words that a model can act on."""


def _cropped(most: int) -> AfterValidator:
    return AfterValidator(lambda text: text.strip()[:most])


Line = Annotated[str, _cropped(_LINE)]
Text = Annotated[str, _cropped(_TEXT)]
Lines = Annotated[tuple[Text, ...], AfterValidator(lambda lines: lines[:_MOST_ITEMS])]
Tokens = Annotated[int, Field(ge=0, le=_MOST_TOKENS)]
Ref = Annotated[str, _cropped(_LINE)]


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


class _Draft(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class DraftStep(_Draft):
    title: Line
    description: Text = ""


class PlanDraft(_Draft):
    """The fields that a model is asked for; `agent` or `team`, `queue` and `environment` are not yet known to exist."""

    title: Line
    summary: Text
    agent: Ref | None = None
    team: Ref | None = None
    queue: Ref | None = None
    environment: Ref | None = None
    reasoning: Text = ""
    steps: Annotated[tuple[DraftStep, ...], AfterValidator(lambda steps: steps[:_MOST_ITEMS])] = ()
    story_points: Annotated[int, Field(ge=1, le=100)]
    confidence: Annotated[Literal["low", "medium", "high"], BeforeValidator(_lower)]
    complexity_reasoning: Text = ""
    estimated_input_tokens: Tokens
    estimated_output_tokens: Tokens
    risks: Lines = ()
    prerequisites: Lines = ()
    success_criteria: Lines = ()


def read(text: str) -> PlanDraft:
    """The draft in an answer, which may stand between other words or in a fence.

    Raises:
        Unusable: there is none, or its fields are wrong.
    """
    if len(text) > LONGEST:
        raise Unusable(f"the answer has {len(text)} characters; at most {LONGEST} are read")
    try:
        return PlanDraft.model_validate(_object_in(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise Unusable(f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}") from None


def _object_in(text: str) -> dict[str, Any]:
    for piece in _pieces(text):
        try:
            value: object = from_json(piece)
        except ValueError:
            continue
        if isinstance(value, dict):
            return cast(dict[str, Any], value)
    raise Unusable("the answer is not a JSON object" if text.strip() else "the answer is empty")


def _pieces(text: str) -> Iterator[str]:
    """Where the object may be: the whole answer, or all from its first brace to its last."""
    yield text
    first, last = text.find("{"), text.rfind("}")
    if 0 <= first < last:
        yield text[first : last + 1]
