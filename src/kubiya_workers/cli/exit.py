"""Exit statuses, and the one edge where every error becomes words and one of them."""

import os
import signal
import sys
from collections.abc import Sequence
from enum import IntEnum

import click

from kubiya_workers.contracts.errors import ModelFailed, Refusal
from kubiya_workers.settings import variables as v
from kubiya_workers.settings.source import BadSetting, Source

from . import talk

USAGE_FIX = "Run the command with --help to see what it takes."


class Exit(IntEnum):
    DONE = 0
    FAILED = 1
    USAGE = 2
    AUTHENTICATION = 3
    REFUSED = 4
    NETWORK = 5
    CONFIGURATION = 6
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


class Stopped(Exception):
    """A signal asked this command to end; everything it had begun is cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


class Failed(Exception):
    """What was asked for was done, and failed: a run, a worker. `fix` is the next step."""

    def __init__(self, detail: str, *, fix: str | None = None, status: Exit = Exit.FAILED) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fix = fix
        self.status = status


class ReaderLeft(Exception):
    """Whoever read our output has seen enough. Of its own kind: click answers a broken pipe itself, with status 1."""


def run_to_status(root: click.Command, words: Sequence[str]) -> int:
    """Run the command; say on stderr what went wrong, if anything did."""
    try:
        status = root.main(args=list(words), prog_name="kubiya", standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # the entry of the process: nothing leaves it as a stack trace
        return _explained(error)
    return status if isinstance(status, int) else Exit.DONE


def _explained(error: BaseException) -> int:
    match error:
        case click.ClickException():
            return _usage(error)
        case click.Abort() | KeyboardInterrupt():
            talk.say("Interrupted.")
            return Exit.INTERRUPTED
        case Stopped():
            return error.status
        case ReaderLeft() | BrokenPipeError():
            return _broken_pipe()
        case _:
            return _report(error)


def status_of(error: BaseException) -> Exit:
    """The exit status that an error stands for."""
    match error:
        case Failed():
            return error.status
        case BadSetting():
            return Exit.CONFIGURATION
        case Refusal():
            return _status_of_refusal(error)
        case _:
            return Exit.FAILED


def _status_of_refusal(refusal: Refusal) -> Exit:
    if refusal.code == ModelFailed.code:
        return Exit.FAILED
    if refusal.status in (401, 403):
        return Exit.AUTHENTICATION
    return Exit.NETWORK if refusal.status >= 500 else Exit.REFUSED


def _report(error: BaseException) -> Exit:
    match error:
        case Refusal() | Failed():
            talk.error(error.detail, error.fix)
        case BadSetting():
            talk.error(str(error), "`kubiya config show` lists every setting and where its value comes from.")
        case OSError():
            talk.error(f"{error.filename}: {error.strerror}" if error.filename else str(error), None)
        case _:
            talk.error(f"{type(error).__name__}: {error}", "Run it again with KUBIYA_DEBUG=1 to see where it happened.")
    if _debugging():
        import traceback

        talk.say("".join(traceback.format_exception(error)))
    return status_of(error)


def _usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return Exit.USAGE
    fix = USAGE_FIX
    if isinstance(error, click.UsageError) and error.ctx is not None:
        fix = f"{error.ctx.command_path} --help shows what it takes."
        if isinstance(error, click.NoSuchOption):
            fix += " Words that begin with a dash follow `--`."
    talk.error(error.format_message(), fix)
    return error.exit_code


def _broken_pipe() -> Exit:
    # Python flushes stdout once more at its end, and would complain then.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.BROKEN_PIPE if hasattr(signal, "SIGPIPE") else Exit.DONE


def _debugging() -> bool:
    try:
        return Source.of_process().get(v.KUBIYA_DEBUG)
    except BadSetting:
        return False
