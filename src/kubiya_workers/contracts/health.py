"""Health as a process tells it."""

from .wire import Wire


class Check(Wire):
    """One part's answer; `latency_ms` where it was asked something."""

    ok: bool
    detail: str = ""
    latency_ms: float | None = None


class Health(Wire):
    """`status` is "healthy" only when every check is ok."""

    status: str
    version: str
    checks: dict[str, Check]
