"""When a cron expression is due, in its time zone.

Clocks that change are treated as Debian's cron does: what is due at a fixed time that is left out runs right after the
change, what is due in an hour that comes twice runs in the first; what is due every so often goes by real time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from kubiya_workers.contracts.errors import Invalid

_EXAMPLE = "Five fields, minute hour day-of-month month day-of-week, such as '30 9 * * mon-fri', or @daily."
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_SOME_DAY = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Schedule:
    """A schedule that is due at least once more; made by `parsed`."""

    fields: str
    zone: ZoneInfo

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every time that it is due after a moment, in UTC and in order."""
        last = moment.astimezone(UTC)
        for found in CronSim(self.fields, moment.astimezone(self.zone)):
            due = found.astimezone(UTC)
            # A time that a clock leaves out or repeats is said twice, or from before the moment.
            if due > last:
                last = due
                yield due

    def next(self, moment: datetime) -> datetime | None:
        return next(self.after(moment), None)

    def following(self, moment: datetime, number: int) -> tuple[datetime, ...]:
        return tuple(islice(self.after(moment), number))


def parsed(expression: str, timezone: str | None) -> Schedule:
    """The schedule; without a time zone it is UTC's.

    Raises:
        Invalid: which field is wrong, or that it is never due.
    """
    words = expression.strip()
    if words.startswith("@") and words.lower() not in _NAMED:
        raise Invalid(f"cron_schedule: {words!r} is not known", fix=f"Known names: {', '.join(_NAMED)}.")
    fields = _NAMED.get(words.lower(), words)
    if len(fields.split()) != 5:
        raise Invalid(f"cron_schedule: {words!r} has {len(fields.split())} fields, not 5", fix=_EXAMPLE)
    schedule = Schedule(fields, _zone(timezone))
    try:
        is_ever_due = schedule.next(_SOME_DAY) is not None
    except CronSimError as error:
        what = str(error).removeprefix("Bad ")
        raise Invalid(f"cron_schedule: the {what} of {words!r} is wrong", fix=_EXAMPLE) from None
    if not is_ever_due:
        raise Invalid(f"cron_schedule: {words!r} is never due", fix=_EXAMPLE)
    return schedule


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):  # unknown, no name at all, or a directory of names
        raise Invalid(
            f"cron_timezone: there is no time zone {name!r}", fix="One of the IANA names, such as Europe/Berlin or UTC."
        ) from None
