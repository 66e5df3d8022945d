"""Every way a command can end has its exit status and its words."""

import asyncio
import os
import signal

import click
import pytest

from kubiya_workers.cli.exit import Exit, Failed, run_to_status, status_of
from kubiya_workers.cli.running import run
from kubiya_workers.client.errors import Unreachable, Unreadable
from kubiya_workers.contracts.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from kubiya_workers.settings.source import BadSetting


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unauthorized("x"), Exit.AUTHENTICATION),
        (Forbidden("x"), Exit.AUTHENTICATION),
        (NotFound("x"), Exit.REFUSED),
        (Conflict("x"), Exit.REFUSED),
        (Invalid("x"), Exit.REFUSED),
        (TooManyRequests("x"), Exit.REFUSED),
        (Unavailable("x"), Exit.NETWORK),
        (Unreachable("x"), Exit.NETWORK),
        (Unreadable("x"), Exit.NETWORK),
        (BadSetting("x"), Exit.CONFIGURATION),
        (Failed("x"), Exit.FAILED),
        (OSError("x"), Exit.FAILED),
        (RuntimeError("x"), Exit.FAILED),
    ],
)
def test_an_error_has_its_status(error: Exception, status: Exit) -> None:
    assert status_of(error) == status


def _status(error: BaseException | None, result: object = None) -> int:
    @click.command()
    def command() -> object:
        if error is not None:
            raise error
        return result

    return run_to_status(command, [])


def test_the_words_are_what_and_the_next_step(capsys: pytest.CaptureFixture[str]) -> None:
    assert _status(NotFound("no agent 'x'", fix="kubiya agent list")) == 4
    assert capsys.readouterr().err == "Error: no agent 'x'\nFix: kubiya agent list\n"


def test_what_came_from_elsewhere_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    _status(NotFound("\x1b]0;evil\x07"))
    assert "\x1b" not in capsys.readouterr().err


def test_a_stack_trace_is_only_for_those_who_ask(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _status(RuntimeError("odd")) == 1
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("KUBIYA_DEBUG", "1")
    assert _status(RuntimeError("odd")) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("result", "status"), [(None, 0), (0, 0), (1, 1), (Exit.FAILED, 1)])
def test_a_command_may_answer_with_its_status(result: object, status: int) -> None:
    assert _status(None, result) == status


def test_wrong_usage_points_to_help(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def command() -> None: ...

    assert run_to_status(command, ["--bogus"]) == 2
    assert "--help" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_lets_a_command_clean_up(number: int, status: int) -> None:
    cleaned: list[bool] = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    @click.command()
    def command() -> None:
        run(work())

    assert run_to_status(command, []) == status
    assert cleaned == [True]


def test_a_command_may_end_well_although_it_was_interrupted() -> None:
    async def work() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 7
        return 0

    assert run(work()) == 7
