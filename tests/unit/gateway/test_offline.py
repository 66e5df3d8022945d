"""The built-in model."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.gateway import offline

KEYS = st.sampled_from(["role", "content", "function", "name"])
SHELL = [{"type": "function", "function": {"name": "shell", "parameters": {}}}]


def _turn(prompt: str, *results: str, before: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [*before, {"role": "user", "content": prompt}]
    for result in results:
        messages += [{"role": "assistant", "content": None, "tool_calls": []}, {"role": "tool", "content": result}]
    return {"messages": messages, "tools": SHELL}


def test_one_command_a_turn_in_order_then_a_report() -> None:
    prompt = "Run `echo a` and `false`"
    first, second = offline.reply_to(_turn(prompt)), offline.reply_to(_turn(prompt, "exit status: 0\na\n"))
    assert first.call is not None and first.call.arguments == '{"command":"echo a"}'
    assert second.call is not None and second.call.command == "false"
    assert first.call.id != second.call.id
    last = offline.reply_to(_turn(prompt, "exit status: 0\na\n", "exit status: 1\n"))
    assert last.text == "(offline model)\n$ echo a\nexit status: 0\na\n\n$ false\nexit status: 1"


def test_a_follow_up_runs_only_its_own_commands() -> None:
    before = tuple(_turn("`one`", "exit status: 0\n")["messages"])
    reply = offline.reply_to(_turn("`two`", before=before))
    assert reply.call is not None and reply.call.command == "two"
    assert reply.call.id not in {"offline_1_1"}


def test_a_tool_whose_name_ends_in_shell_serves() -> None:
    request = _turn("`x`") | {"tools": [{"function": {"name": "read"}}, {"function": {"name": "ops_shell"}}]}
    reply = offline.reply_to(request)
    assert reply.call is not None and reply.call.tool == "ops_shell"


def test_without_a_command_or_a_shell_it_says_how_to_configure_a_model() -> None:
    for request in (_turn("hello there"), _turn("run `ls`") | {"tools": []}, {}):
        text = offline.reply_to(request).text
        assert text.startswith("(offline model)\nNo model is configured")
        assert all(name in text for name in ("KUBIYA_LLM_BASE_URL", "OPENAI_API_KEY", "ollama"))
    assert offline.reply_to(_turn("hello there")).text.endswith("Your prompt was:\nhello there")


@given(st.text())
def test_the_pieces_of_a_text_are_the_text(text: str) -> None:
    assert "".join(offline.pieces(text)) == text
    assert all(offline.pieces(text))


def test_a_long_text_is_not_streamed_in_tens_of_thousands_of_pieces() -> None:
    text = "word " * 50_000
    assert "".join(offline.pieces(text)) == text
    assert len(list(offline.pieces(text))) < 2200


@given(
    st.text(),
    st.recursive(
        st.none() | st.booleans() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["role", "content", "function", "name"]), inner)
        ),
    ),
)
def test_any_request_gets_a_reply_that_is_the_same_streamed_and_whole(prompt: str, odd: Any) -> None:
    request = {"messages": [odd, {"role": "user", "content": prompt}], "tools": odd}
    reply = offline.reply_to(request)
    streamed = list(offline.chunks(reply, request, call_id="c", created=1))
    whole = offline.completion(reply, request, call_id="c", created=1)
    text = "".join(c["choices"][0]["delta"].get("content") or "" for c in streamed)
    assert text == (whole["choices"][0]["message"]["content"] or "")
    assert streamed[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
