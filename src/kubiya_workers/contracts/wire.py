"""The base of every contract type."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

JsonObject = dict[str, Any]
"""A JSON object whose keys are the user's or a provider's, not ours."""


def _zoned(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def zoned(value: datetime | None) -> datetime | None:
    """A moment that was given without a zone is one of UTC, as everywhere on the wire."""
    return None if value is None else _zoned(value)


Timestamp = Annotated[datetime, AfterValidator(_zoned)]
"""RFC 3339 on the wire, always UTC; a value without a zone is taken as UTC."""


class Wire(BaseModel):
    """A value that crosses a process: immutable, and tolerant of fields from newer versions."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
