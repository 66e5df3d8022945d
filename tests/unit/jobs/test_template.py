"""Prompt templates: what is asked for is put in, once."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.jobs import TriggerType
from kubiya_workers.control_plane.jobs.template import LONGEST, asked_for, check, check_variables, names_in, rendered

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
BRACES = ("{{x}}", "}}", "{{", r"\{{", "{{payload}}", "{{job.name}}")


@given(st.text(alphabet=st.characters(exclude_characters="{")))
def test_a_text_without_braces_is_itself(text: str) -> None:
    assert rendered(text, {}) == text
    assert names_in(text) == []


@given(st.lists(st.sampled_from(BRACES) | st.text(), max_size=6).map("".join), st.text(alphabet="ab ", max_size=5))
def test_a_value_is_never_looked_at_again(value: str, around: str) -> None:
    assert rendered(around + "{{ x }}" + around, {"x": value, "payload": "no", "job": {"name": "no"}}) == (
        around + value + around
    )


@given(st.text())
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        names = names_in(text)
    except Invalid as refused:
        assert refused.detail.startswith("prompt_template: ") and refused.fix
        return
    for name in names:
        assert name.split(".")[0].isascii()


@given(st.text())
def test_braces_of_ones_own_are_written_with_a_backslash(text: str) -> None:
    assert rendered(text.replace("{", "").replace("\\", "") + r"\{{x}}", {}).endswith("{{x}}")


def test_paths_lead_into_objects_and_lists() -> None:
    values = {"payload": {"a": [{"b": 1}, "two"], "is-draft": True, "n": None, "o": {"k": "é"}}}
    said = rendered("{{payload.a.0.b}} {{payload.a.1}} {{payload.is-draft}} {{payload.n}} {{payload.o}}", values)
    assert said == '1 two true null {"k": "é"}'


@settings(max_examples=40)
@given(JSON)
def test_what_is_not_there_is_named(payload: Any) -> None:
    with pytest.raises(Invalid, match=r"\{\{payload.no.such\}\}"):
        rendered("{{payload.no.such}}", {"payload": payload})


@pytest.mark.parametrize(
    "template", ["{{", "a {{b", "{{}}", "{{a b}}", "{{1}}", "{{a.}}", "{{{{x}}}}", "{{a|b}}", "{{é}}"]
)
def test_what_is_no_name_is_refused(template: str) -> None:
    with pytest.raises(Invalid):
        check(template, TriggerType.MANUAL)


@pytest.mark.parametrize(
    ("template", "known"),
    [
        ("{{job.name}} {{job.id}} {{ scheduled_at }}", "cron webhook manual"),
        ("{{payload}}", "webhook"),
        ("{{payload.a.b}}", "webhook"),
        ("{{version}}", "manual"),
        ("{{version.a}}", ""),
        ("{{job.prompt}}", ""),
        ("{{job}}", ""),
        ("{{scheduled_at.x}}", ""),
        (" ", ""),
    ],
)
def test_what_a_job_of_a_type_can_know(template: str, known: str) -> None:
    for trigger in TriggerType:
        if trigger.value in known.split():
            check(template, trigger)
        else:
            with pytest.raises(Invalid):
                check(template, trigger)


@pytest.mark.parametrize("name", ["other", "job", "payload", "scheduled_at"])
def test_a_value_that_nobody_asks_for_is_refused(name: str) -> None:
    check_variables("{{mine}}", {"mine": "x"})
    with pytest.raises(Invalid, match=name):
        check_variables("{{mine}} {{job.name}} {{scheduled_at}}", {"mine": "x", name: "y"})


def test_a_prompt_has_an_end() -> None:
    with pytest.raises(Invalid, match="characters"):
        rendered("{{payload}}" * 5000, {"payload": "x" * (LONGEST // 10)})


def test_what_a_trigger_must_give_is_told_once() -> None:
    template = r"{{word}} \{{no}} {{job.name}} {{word}} {{payload.a}} {{ payload.b }} {{scheduled_at}}"
    assert asked_for(template) == ("word", "payload")
