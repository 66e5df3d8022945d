"""A patch applied: the fields that a request named replace the old ones, and the whole is checked anew."""

from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from kubiya_workers.contracts.errors import Invalid
from kubiya_workers.contracts.wire import Wire

W = TypeVar("W", bound=Wire)


def patched(old: W, changes: dict[str, Any]) -> W:
    """`old` with the changes and a new `updated_at`.

    Raises:
        Invalid: a field that must have a value was set to null.
    """
    fields = {name: getattr(old, name) for name in type(old).model_fields}
    try:
        return type(old).model_validate({**fields, **changes, "updated_at": datetime.now(UTC)})
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(f"{first['loc'][0]}: {first['msg'].lower()}") from None
