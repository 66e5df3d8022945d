"""The body of every error answer: `detail` as clients read it, RFC 9457 members beside it."""

from .wire import Wire


class Problem(Wire):
    """RFC 9457 problem details; `fix` is the next step for the person who reads it."""

    detail: str
    title: str = ""
    status: int = 500
    type: str = "about:blank"
    code: str = "internal"
    fix: str | None = None
