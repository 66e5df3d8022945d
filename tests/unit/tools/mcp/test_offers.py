"""What a stranger's server says of itself becomes tools that every model's API and our validator can bear."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from kubiya_workers.agent.skill_limits import McpLimits
from kubiya_workers.contracts.tools import Approval, ToolClass
from kubiya_workers.worker.tools.mcp import offers
from kubiya_workers.worker.tools.mcp.offers import Names, Offer, Offered, Unusable, clean, specs_of, usable

EMPTY: dict[str, Any] = {"type": "object"}
_KEYS = st.sampled_from(
    (
        *("type", "properties", "$ref", "$defs", "items", "anyOf", "required", "enum", "pattern", "minimum", "not"),
        *("additionalProperties", "const", "description", "$id", "x", "allOf", "format", "patternProperties"),
    )
)
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(("object", "#", "#/$defs/x"))
)
_TEXT = st.text(max_size=20) | st.text("ab_. ", max_size=90)
_SCHEMAS = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4), max_leaves=20
)


def offered(*names: str, server: str = "it", **config: Any) -> Offered:
    return Offered(server, McpLimits(command="x", **config), [Offer(name, "does it", EMPTY) for name in names])


@given(st.lists(st.tuples(_TEXT, _TEXT), max_size=8, unique=True))
def test_names_are_fit_for_every_api_and_differ_and_stay(pairs: list[tuple[str, str]]) -> None:
    first, again = Names(["shell"]), Names(["shell"])
    made = [first.of(*pair) for pair in pairs]
    assert made == [again.of(*pair) for pair in pairs]
    assert len({*made, "shell"}) == len(made) + 1
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in made)


def test_names_that_meet_are_told_apart() -> None:
    names = Names([])
    assert names.of("github", "create_issue") == "github__create_issue"
    assert names.of("a b", "x.y") == "a_b__x_y"
    assert re.fullmatch(r"a_b__x_y_[0-9a-f]{8}", names.of("a.b", "x/y"))
    with pytest.raises(Unusable):
        names.of("a.b", "x/y")


@settings(max_examples=200)
@given(_SCHEMAS)
def test_whatever_is_said_to_be_a_schema_is_one_or_is_refused(schema: Any) -> None:
    try:
        made = usable(schema)
    except Unusable:
        return
    assert made["type"] == "object" and len(json.dumps(made)) < 2 * offers.LARGEST_SCHEMA
    Draft202012Validator.check_schema(made)
    assert usable(made) == made
    assert not {"$id", "pattern", "patternProperties"} & {key for key in _keywords(made)}


def _keywords(schema: Any) -> list[str]:
    if not isinstance(schema, dict):
        return []
    inner = [key for name, value in schema.items() if name not in ("properties", "$defs") for key in _keywords(value)]
    return [*schema, *inner]


def test_a_property_may_be_named_like_a_keyword() -> None:
    made = usable({"type": "object", "properties": {"pattern": {"type": "string", "pattern": "(a+)+$"}}})
    assert made["properties"] == {"pattern": {"type": "string"}}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string"}, "no object"),
        ([], "no object"),
        ({"properties": {"a": {"$ref": "http://169.254.169.254/"}}}, "another document"),
        ({"properties": {"a": {"description": "x" * 40_000}}}, "bytes"),
        ({"type": "object", "$ref": "#"}, "cannot be used"),
        ({"type": "object", "$ref": "#/$defs/none"}, "cannot be used"),
        ({"properties": 3}, "is wrong"),
    ],
)
def test_what_is_no_usable_schema_says_why(schema: Any, said: str) -> None:
    with pytest.raises(Unusable, match=said):
        usable(schema)


def test_a_schema_may_be_deep_only_so_far() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(Unusable, match="too deep"):
        usable(schema)


def test_only_what_is_named_is_offered_and_what_is_missing_is_told() -> None:
    specs, notes = specs_of([offered("read_a", "read_b", "write", tools=("read_*", "gone"))], [])
    assert [spec.name for spec in specs] == ["it__read_a", "it__read_b"]
    assert notes == ["MCP server 'it' has no tool 'gone'"]
    assert specs[0].config == {"server": "it", "tool": "read_a"}


def test_two_servers_may_have_a_tool_of_one_name() -> None:
    specs, _ = specs_of([offered("search", server="a"), offered("search", server="b")], ["a__search"])
    assert specs[0].name.startswith("a__search_") and specs[1].name == "b__search"


def test_a_server_is_believed_only_where_its_configuration_says_so() -> None:
    hints = [Offer("read", "", EMPTY, reads_only=True), Offer("put", "", EMPTY, idempotent=True), Offer("x", "", EMPTY)]

    def classes(**config: Any) -> list[ToolClass]:
        specs, _ = specs_of([Offered("it", McpLimits(command="x", **config), hints)], [])
        return [spec.tool_class for spec in specs]

    assert classes() == [ToolClass.ONCE] * 3
    assert classes(trust_hints=True) == [ToolClass.PURE, ToolClass.RETRY_SAFE, ToolClass.ONCE]
    assert classes(trust_hints=True, tool_classes={"read": "once"})[0] is ToolClass.ONCE
    assert classes(tool_classes={"p*": "retry_safe"})[1] is ToolClass.RETRY_SAFE


def test_approval_may_differ_from_tool_to_tool() -> None:
    config = {"approval": "always", "tool_approvals": {"read*": "never"}}
    specs, _ = specs_of([offered("read_it", "write_it", **config)], [])
    assert [spec.approval for spec in specs] == [Approval.NEVER, Approval.ALWAYS]


def test_too_many_tools_are_refused_with_what_helps() -> None:
    with pytest.raises(Unusable, match=r"200 tools.*`tools`"):
        specs_of([offered(*(f"t{n}" for n in range(200)))], [])
    assert len(specs_of([offered(*(f"t{n}" for n in range(200)), tools=("t1*",))], [])[0]) == 111


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_what_is_shown_is_bounded_and_plain(text: str, most: int) -> None:
    shown = clean(text, most)
    assert len(shown) <= most
    assert not re.search(r"[\x00-\x08\x1b\u202e\u200b]", shown)
    shown.encode()
