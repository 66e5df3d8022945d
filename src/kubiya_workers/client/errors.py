"""Answers that are not what was asked for, as the refusals that every room knows."""

import os
import ssl

import httpx
from pydantic import ValidationError

from kubiya_workers.contracts.errors import REFUSALS, Refusal, TooManyRequests
from kubiya_workers.contracts.problems import Problem

from .trust import distrust

_EXCERPT = 200


class Unreachable(Refusal):
    """No answer came: the address, the network, TLS or a time limit is in the way."""

    status = 503
    code = "unreachable"


class Unreadable(Refusal):
    """An answer came that this version does not understand: something else may be listening there."""

    status = 502
    code = "unreadable"


def refusal_of(response: httpx.Response) -> Refusal:
    """The refusal that an error answer carries; the body must have been read.

    Bodies that are no problem object (a proxy's error page) are excerpted, so that they can be recognised.
    """
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem(detail=_said(response))
    if response.status_code == TooManyRequests.status:
        return TooManyRequests(problem.detail, fix=problem.fix, retry_after=_seconds(response))
    return refusal_in(problem, response.status_code)


def refusal_in(problem: Problem, status: int) -> Refusal:
    """The refusal that a problem tells of."""
    refusal = REFUSALS.get(status, Refusal)(problem.detail, fix=problem.fix)
    refusal.status = status
    if problem.code != "internal":
        refusal.code = problem.code
    return refusal


def unreachable(url: str, error: httpx.HTTPError | httpx.InvalidURL) -> Unreachable:
    """`error` in plain words, with what to look at next."""
    match error:
        case httpx.ConnectTimeout():
            reason, fix = "no connection within the time limit", "Check the address, and any firewall or VPN."
        case httpx.TimeoutException():
            reason, fix = "no answer within the time limit", "Try again; `kubiya doctor` shows what is slow."
        case httpx.ConnectError() if (distrusted := distrust(error)) is not None:
            reason, fix = distrusted.reason, distrusted.fix
        case httpx.ConnectError():
            reason = _innermost(error)
            fix = "Check that the control plane runs there: CONTROL_PLANE_URL is its address."
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            reason, fix = f"not a usable address: {error}", "Set CONTROL_PLANE_URL to an http:// or https:// address."
        case httpx.RemoteProtocolError() | httpx.ReadError() if url.startswith("http://"):
            reason = f"the connection broke: {_innermost(error)}"
            fix = "Try again; nothing was left half-done here. If it speaks TLS, its address begins with https://."
        case _:
            reason, fix = f"the connection broke: {_innermost(error)}", "Try again; nothing was left half-done here."
    return Unreachable(f"Cannot reach the control plane at {url}: {reason}", fix=fix)


def _said(response: httpx.Response) -> str:
    excerpt = " ".join(response.text.split())[:_EXCERPT]
    return f"HTTP {response.status_code}" + (f": {excerpt}" if excerpt else "")


def _seconds(response: httpx.Response) -> float | None:
    try:
        return float(response.headers.get("retry-after", ""))
    except ValueError:
        return None


def _innermost(error: BaseException) -> str:
    """The operating system's own words: the outer ones say only that attempts failed."""
    words = str(error)
    while (cause := error.__cause__ or error.__context__) is not None:
        error, words = cause, _plainly(cause) or words
    return words or type(error).__name__


def _plainly(error: BaseException) -> str:
    """Without the number and the call that a failed connect is decorated with."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.errno:
        return os.strerror(error.errno) if error.errno > 0 else error.strerror or str(error)
    return str(error)
