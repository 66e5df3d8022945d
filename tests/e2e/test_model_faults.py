"""A model that errs, stops, refuses or floods; tools that print too much or no text; budgets that run out.

One control plane and one worker serve all of it: which script answers is chosen by the prompt.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from kubiya_workers.testing import ScriptedModel, closes, error, garbles, tool

from .installation import Event, Installation
from .machine import Machine

WAIT_S = 2
FIVE_MB = "head -c 5000000 /dev/zero | tr '\\0' x"
SCRIPTS: dict[str, Any] = {
    "broken json": [tool("shell", '{"command": "echo hi'), "I give up"],
    "wrong arguments": [tool("shell", {"commnad": "echo hi", "timeout": "soon"}), "I give up"],
    "no object": [tool("shell", '["echo hi"]'), "I give up"],
    "unknown tool": [tool("rm_rf", {}), "I give up"],
    "too much output": [tool("shell", {"command": FIVE_MB}), "much"],
    "no text": [tool("shell", {"command": r"printf 'a\xff\xfe\x00b\xed\xa0\x80c'"}), "bytes"],
    "closes early": [(closes("one two three", after=2), "fine")],
    "closes while somebody reads": [(closes("one two three", after=2), "fine")],
    "garbles": [(garbles("one two three", after=2), "fine")],
    "too many requests": [(error(429, "slow down", retry_after=WAIT_S), "fine")],
    "bad request": [error(400, "this model is not for you")],
    "busy twice": [(error(503, "busy"), closes("one two three", after=2), "fine")],
    "always busy": [(error(503, "busy"), error(503, "busy"), "fine")],
    "many tools": [*(tool("shell", {"command": f"echo {n}"}, text=f"round {n}") for n in range(5)), "done"],
    "many words": [*(tool("shell", {"command": "true"}, text="word " * 60) for _ in range(5)), "done"],
    "large prompt": "I read it",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, ScriptedModel]]:
    machine = Machine(tmp_path_factory.mktemp("faults"))
    installation = Installation(machine)
    with ScriptedModel(SCRIPTS) as model:
        try:
            installation.serve(model.url)
            installation.start_worker()
            yield installation, model
        finally:
            installation.close()
            machine.kill_everything()


class Run:
    """One execution, run to its end."""

    def __init__(self, served: tuple[Installation, ScriptedModel], prompt: str, **fields: Any) -> None:
        self.installation, self._model = served
        self._prompt = prompt
        self.id = self.installation.submit(prompt, **fields)
        self.execution = self.installation.ended(self.id)
        self.events = self.installation.stored(self.id)

    @property
    def calls(self) -> list[Any]:
        """What reached the model of this run."""
        return [chat for chat in self._model.chats if any(self._prompt in str(m) for m in chat.body["messages"])]

    @property
    def tool(self) -> Event:
        return next(event for event in self.events if event.type == "tool_completed")

    def assert_completed(self, response: str) -> None:
        assert (self.execution["status"], self.execution["response"]) == ("completed", response), self.execution
        self.installation.assert_the_log_is_whole(self.id)

    def assert_failed(self, reason: str, *words: str) -> None:
        assert (self.execution["status"], self.execution["failure_reason"]) == ("failed", reason), self.execution
        assert all(word in self.execution["error_message"] for word in words), self.execution["error_message"]
        assert self.events[-1].type == "done"
        assert self.events[-1].fields["status"] == "failed"


Served = tuple[Installation, ScriptedModel]


@pytest.mark.parametrize(
    ("prompt", "advice"),
    [
        ("broken json", "not valid JSON"),
        ("wrong arguments", "'command' is a required property"),
        ("no object", "object"),
        ("unknown tool", "rm_rf"),
    ],
)
def test_a_tool_call_that_cannot_be_made_is_the_models_to_mend(served: Served, prompt: str, advice: str) -> None:
    run = Run(served, prompt)
    run.assert_completed("I give up")
    assert run.tool.fields["tool_status"] == "failed"
    assert isinstance(run.tool.fields["tool_output"], dict)
    told = run.calls[1].body["messages"][-1]
    assert told["role"] == "tool"
    assert advice in told["content"]


def test_five_megabytes_of_output_are_cut(served: Served) -> None:
    run = Run(served, "too much output")
    run.assert_completed("much")
    output = run.tool.fields["tool_output"]
    assert output["exit_status"] == 0
    assert output["truncated"]
    assert 1000 < len(output["stdout"]) < 100_000
    assert len(run.calls[1].body["messages"][-1]["content"]) < 100_000


def test_output_that_is_no_text(served: Served) -> None:
    run = Run(served, "no text")
    run.assert_completed("bytes")
    stdout = run.tool.fields["tool_output"]["stdout"]
    assert stdout[0] == "a"
    assert "b" in stdout
    assert stdout[-1] == "c"
    assert "\0" not in run.tool.fields["content"]


@pytest.mark.parametrize("prompt", ["closes early", "garbles"])
def test_an_answer_that_breaks_off_is_asked_for_again(served: Served, prompt: str) -> None:
    run = Run(served, prompt)
    run.assert_completed("fine")
    assert len(run.calls) == 2
    assert [event.attempt for event in run.events if event.type == "model_started"] == [1, 2]
    assert [event.attempt for event in run.events if event.type == "message" and event.step] == [2]


def test_a_reader_sees_the_attempt_that_broke_off_and_the_one_that_supersedes_it(served: Served) -> None:
    installation, _ = served
    execution = installation.submit("closes while somebody reads")
    with installation.reading(execution) as events:
        seen = [event for event in events if event.step]
    written = {attempt: _text(seen, attempt) for attempt in (1, 2)}
    assert written == {1: "one two ", 2: "fine"}
    starts = [place for place, event in enumerate(seen) if event.type == "model_started"]
    assert {event.attempt for event in seen[: starts[1]]} == {1}
    assert {event.attempt for event in seen[starts[1] :]} == {2}, "nothing of the old attempt after the new one began"


def _text(events: list[Event], attempt: int) -> str:
    return "".join(e.fields["content"] for e in events if e.type == "message_chunk" and e.attempt == attempt)


def test_a_model_that_says_when_to_come_back_is_obeyed(served: Served) -> None:
    run = Run(served, "too many requests")
    run.assert_completed("fine")
    first, second = run.calls
    assert second.at - first.at >= WAIT_S


def test_a_busy_model_is_asked_again_and_later_each_time(served: Served) -> None:
    run = Run(served, "always busy")
    run.assert_completed("fine")
    first, second, third = (call.at for call in run.calls)
    # A busy machine only adds to the pauses of 1 s and 2 s.
    assert second - first > 0.9 and third - second > 1.9


def test_why_a_call_is_made_again_is_told(served: Served) -> None:
    run = Run(served, "busy twice")
    run.assert_completed("fine")
    told = [(event.step, event.attempt, event.fields["reason"]) for event in run.events if event.type == "degraded"]
    assert [(step, attempt) for step, attempt, _ in told] == [(1, 1), (1, 2)]
    assert "HTTP 503" in told[0][2]
    assert told[0][2].endswith("busy; it is tried again")
    assert told[1][2].endswith("it is tried again")


def test_a_refusal_is_not_asked_again(served: Served) -> None:
    run = Run(served, "bad request")
    run.assert_failed("model_error", "400", "this model is not for you")
    assert len(run.calls) == 1


def test_a_budget_of_tool_calls(served: Served) -> None:
    run = Run(served, "many tools", limits={"max_tool_calls": 2})
    run.assert_failed("budget_exhausted", "2 tool calls")
    assert run.execution["response"] == "round 2"
    assert [event.type for event in run.events].count("tool_completed") == 2


def test_a_budget_of_tokens(served: Served) -> None:
    run = Run(served, "many words", limits={"max_tokens": 150})
    run.assert_failed("budget_exhausted", "150 tokens")
    assert run.execution["response"].startswith("word word")
    usage = run.execution["usage"]
    assert usage["input_tokens"] + usage["output_tokens"] >= 150
    assert len(run.calls) == 2


def test_a_limit_that_does_not_exist_is_refused(served: Served) -> None:
    installation, _ = served
    answer = installation.call("POST", "/agents/default/execute", json={"prompt": "x", "limits": {"max_luck": 1}})
    assert answer.status_code == 422
    assert "max_luck" in answer.text


def test_a_large_prompt_travels_whole(served: Served) -> None:
    prompt = "large prompt: " + "päge " * 180_000  # 1 MB
    run = Run(served, prompt)
    run.assert_completed("I read it")
    assert run.execution["prompt"] == prompt
    assert next(m["content"] for m in run.calls[0].body["messages"] if m["role"] == "user") == prompt
