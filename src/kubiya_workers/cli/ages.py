"""Times as people say them."""

from datetime import UTC, datetime

_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """How long ago, in its largest unit: 3d, 5h, 12m, 40s."""
    if moment is None:
        return "-"
    seconds = max(0, int(((now or datetime.now(UTC)) - moment).total_seconds()))
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def ahead(moment: datetime | None, now: datetime | None = None) -> str:
    """How long until then, as `age` says it; what is past is due now."""
    if moment is None:
        return "-"
    now = now or datetime.now(UTC)
    return "now" if moment <= now else f"in {age(now, moment)}"


def duration(seconds: float) -> str:
    """How long it took: 120ms, 3.2s, 2m05s, 1h02m."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"
