"""A run on the terminal and in a pipe: every event, once, whatever is repeated or superseded."""

import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubiya_workers.cli.render import words
from kubiya_workers.cli.render.lines import JsonLines
from kubiya_workers.cli.render.quiet import Quiet
from kubiya_workers.cli.render.screen import LiveScreen, PlainScreen
from kubiya_workers.cli.render.text import TextRenderer
from kubiya_workers.contracts.events import (
    ApprovalRequested,
    ApprovalResolved,
    Connected,
    Degraded,
    Delta,
    Done,
    ErrorRaised,
    Fact,
    GapDetected,
    HistoryComplete,
    Marker,
    MessageAdded,
    MessageChunk,
    ModelStarted,
    ReasoningChunk,
    StatusChanged,
    ToolCompleted,
    ToolOutputChunk,
    ToolStarted,
    UsageReported,
    from_wire,
)
from kubiya_workers.contracts.executions import Status
from kubiya_workers.contracts.ids import ExecutionId
from kubiya_workers.contracts.messages import Usage

RUN = ExecutionId("run-1")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
Event = Fact | Delta | Marker


class Lines(PlainScreen):
    """What would stand on stderr."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def line(self, text: str, tone: words.Tone = "plain") -> None:
        self.said.append(text)

    def part(self, text: str) -> None:
        self.said.append(text)

    def status(self, text: str, *, lasting: bool = False) -> None:
        if lasting:
            self.said.append(text)


def shown(events: Sequence[Event], *, verbose: bool = False, past: bool = False) -> tuple[str, list[str]]:
    out, screen = io.StringIO(), Lines()
    renderer = TextRenderer(screen, verbose=verbose, past=past, out=out)
    for number, event in enumerate(events):
        renderer.event(str(number), event)
    renderer.close()
    return out.getvalue(), screen.said


def chunk(content: str, offset: int, *, attempt: int = 1, message: str = "m") -> MessageChunk:
    return MessageChunk(step=1, attempt=attempt, message_id=message, content=content, offset=offset)


def whole(content: str, *, attempt: int = 1, step: int = 1) -> MessageAdded:
    return MessageAdded(step=step, attempt=attempt, role="assistant", content=content, message_id="m")


def done(status: Status = Status.COMPLETED, response: str = "") -> Done:
    usage = Usage(input_tokens=1200, output_tokens=34)
    return Done(execution_id=RUN, status=status, response=response, usage=usage, timestamp=T0 + timedelta(seconds=3))


STARTED = ToolStarted(step=2, tool_name="shell", tool_execution_id="t", tool_input={"command": "ls -la"})
COMPLETED = ToolCompleted(
    step=2,
    tool_name="shell",
    tool_execution_id="t",
    tool_status="success",
    tool_output={"exit_status": 0, "stdout": "".join(f"line {n}\n" for n in range(30))},
    duration_ms=120,
)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1), st.data())
def test_an_answer_appears_once_however_it_is_cut_repeated_and_resent(content: str, data: st.DataObject) -> None:
    cuts = sorted({0, len(content), *data.draw(st.lists(st.integers(0, len(content)), max_size=6))})
    events: list[Event] = [chunk(content[a:b], a) for a, b in pairwise(cuts)]
    start = data.draw(st.integers(0, len(content)))  # a reconnect that sends some of it again
    events.insert(data.draw(st.integers(0, len(events))), chunk(content[:start], 0))
    out, _ = shown([*events, whole(content), done(response=content)])
    assert out == content + ("" if content.endswith("\n") else "\n")


def test_a_piece_that_is_missing_is_brought_by_the_whole() -> None:
    out, _ = shown([chunk("abc", 0), chunk("ghi", 6), whole("abcdefghi")])
    assert out == "abcdefghi\n"


def test_a_tool_call_is_one_line_and_its_output_is_collapsed() -> None:
    _, said = shown([STARTED, COMPLETED])
    assert said[0] == "✓ shell  ls -la  (120ms)"
    assert said[1:11] == [f"  line {n}" for n in range(10)]
    assert said[11:] == ["  … 20 more lines, --verbose shows all"]


def test_verbose_streams_the_whole_output_once() -> None:
    chunks = ToolOutputChunk(step=2, tool_execution_id="t", content="line 0\n", offset=0)
    _, said = shown([STARTED, chunks, COMPLETED], verbose=True)
    assert said == ["line 0\n", "✓ shell  ls -la  (120ms)"]
    _, said = shown([STARTED, COMPLETED], verbose=True)
    assert len(said) == 31


def test_a_superseded_attempt_is_said_to_be_so_and_never_mixed() -> None:
    out, said = shown(
        [
            chunk("half an ans", 0),
            ModelStarted(step=1, attempt=2, model="m"),
            chunk("wer of the dead", 11),
            chunk("a new answer", 0, attempt=2),
            whole("a new answer", attempt=2),
        ]
    )
    assert out == "half an ans\n[it broke off here; the answer begins again]\na new answer\n"
    assert said == ["↻ step 1 begins again: attempt 1 was superseded"]


def test_an_unknown_outcome_does_not_look_like_a_new_begin() -> None:
    settled = COMPLETED.model_copy(
        update={"attempt": 2, "outcome": "unknown", "tool_status": "failed", "tool_error": "its worker died"}
    )
    _, said = shown([STARTED, settled])
    assert said[0] == "? shell  ls -la  (120ms · its worker died)"


def test_what_a_tool_and_a_model_say_cannot_steer_the_terminal() -> None:
    evil = "\x1b]0;title\x07\x1b[2J\x9b31m\u202e"
    started = STARTED.model_copy(update={"tool_name": evil, "tool_input": {"command": evil}})
    completed = COMPLETED.model_copy(update={"tool_output": {"stdout": evil}, "tool_error": evil})
    out, said = shown([chunk(evil, 0), started, completed, Degraded(reason=evil), done(response=evil)])
    assert not set(out + "".join(said)) & set("\x1b\x07\x9b\u202e")


def test_waiting_says_what_for() -> None:
    _, said = shown(
        [
            StatusChanged(status=Status.PENDING, reason="a worker on queue q"),
            StatusChanged(status=Status.RUNNING),
            StatusChanged(status=Status.WAITING_FOR_INPUT),
        ]
    )
    assert said == ["Waiting for a worker on queue q", "Waiting for a message from you"]


@pytest.mark.parametrize(("status", "sign"), [(Status.COMPLETED, "✓"), (Status.FAILED, "✗"), (Status.CANCELLED, "⊘")])
def test_the_last_line_tells_how_it_ended(status: Status, sign: str) -> None:
    begun = StatusChanged(status=Status.PENDING, timestamp=T0)
    _, said = shown([begun, COMPLETED, done(status)])
    assert said[-1] == f"{sign} {status} in 3.0s · 1,234 tokens · 1 tool call · execution run-1"


def test_an_approval_says_how_it_is_given() -> None:
    wanted = ApprovalRequested(approval_id="ap", tool_name="shell", tool_input={"command": "rm x"}, expires_at=T0)
    _, said = shown([wanted, ApprovalResolved(approval_id="ap", decision="denied", by="Ada", reason="no")])
    assert said[0] == "‖ shell  rm x"
    assert "kubiya execution approve" in said[1] and "ap" in said[1]
    assert said[2] == "denied by Ada: no"


EVERY: list[Event] = [
    Connected(execution_id=RUN),
    StatusChanged(status=Status.RUNNING),
    ModelStarted(step=1, model="m"),
    ReasoningChunk(step=1, message_id="m", content="hm", offset=0),
    chunk("Hello \x1b[1mworld", 0),
    UsageReported(step=1, model="m"),
    whole("Hello \x1b[1mworld"),
    STARTED,
    ToolOutputChunk(step=2, tool_execution_id="t", content="x", offset=0),
    COMPLETED,
    ApprovalRequested(approval_id="a", tool_name="t", expires_at=T0),
    ApprovalResolved(approval_id="a", decision="approved"),
    Degraded(reason="slow"),
    GapDetected.model_validate({"from": 1, "to": 2}),
    HistoryComplete(execution_id=RUN, message_count=1),
    ErrorRaised(error="e", error_type="model_error", execution_id=RUN, status="failed"),
    done(Status.FAILED),
]


def test_json_lines_read_back_as_the_same_events() -> None:
    out = io.StringIO()
    renderer = JsonLines(out)
    for number, event in enumerate(EVERY):
        renderer.event(str(number), event)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [from_wire(line["event"], line["data"]) for line in lines] == EVERY
    assert [line["id"] for line in lines] == [str(number) for number in range(len(EVERY))]
    assert "\x1b" not in out.getvalue()


def test_quiet_prints_the_answer_alone(capsys: pytest.CaptureFixture[str]) -> None:
    renderer = Quiet(Lines(), answer=True)
    for event in [*EVERY[:-1], done(response="the answer")]:
        renderer.event("1", event)
    assert capsys.readouterr().out == "the answer\n"


@pytest.mark.parametrize("verbose", [False, True])
def test_a_live_screen_takes_every_event_and_leaves_nothing_running(verbose: bool) -> None:
    renderer = TextRenderer(LiveScreen(), verbose=verbose, out=io.StringIO())
    renderer.status("Starting")
    for event in EVERY:
        renderer.event("1", event)
    renderer.close()


def test_the_main_argument_is_the_one_that_says_most() -> None:
    assert words.main_argument({"timeout": 3, "command": "a\nb"}) == "a b"
    assert words.main_argument({"x": 1}) == '{"x": 1}'
    assert words.main_argument({}) == ""
    assert len(words.main_argument({"command": "x" * 500})) == 80


def test_an_output_that_is_one_line_too_long_is_shown_whole() -> None:
    """A line that says "1 more line" would take the place of that line."""
    assert words.collapsed("x\n" * 11, whole=False) == ["x"] * 11
    assert len(words.collapsed("x\n" * 12, whole=False)) == 11
    assert words.collapsed(" \n", whole=False) == []


BEGUN = ToolStarted(
    step=2,
    tool_name="delegate",
    tool_execution_id="t",
    tool_input={"member": "writer", "task": "Write\nthe notes"},
    member_execution_id=ExecutionId("run-2"),
)
ASKS = ApprovalRequested(step=3, approval_id="approval-3", tool_name="shell", expires_at=T0)


def test_a_members_run_stands_beneath_its_teams_with_its_name() -> None:
    screen = Lines()
    renderer = TextRenderer(screen, out=io.StringIO())
    renderer.event("1", BEGUN)
    for event in (
        STARTED,
        COMPLETED,
        ASKS,
        StatusChanged(status=Status.PAUSED, reason="paused by a person"),
        whole("x"),
    ):
        renderer.member(BEGUN, event)
    renderer.member(BEGUN, COMPLETED.model_copy(update={"attempt": 0}))  # of an attempt that was superseded
    assert screen.said == [
        "→ writer: Write the notes  (execution run-2)",
        "  writer ✓ shell  ls -la  (120ms)",
        "  writer ‖ shell",
        "  writer   A person must agree to this: kubiya execution approve run-2 approval-3",
        "  writer Paused: paused by a person",
    ]


def test_a_member_that_needs_a_person_is_told_of_also_where_only_the_end_is_waited_for() -> None:
    screen = Lines()
    Quiet(screen, answer=False).member(BEGUN, ASKS)
    assert any("kubiya execution approve run-2 approval-3" in line for line in screen.said)
