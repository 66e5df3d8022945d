"""Rows whose searched fields are columns and whose rest is one JSON body.

Statements that every run needs are made once, with their values as parameters: to make one costs more than to run it.
"""

from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from kubiya_workers.contracts.wire import Wire

W = TypeVar("W", bound=Wire)


def by_id_or_name(table: sa.Table, *also: sa.Label[int]) -> sa.Select[Any]:
    """The row with the id or the name `ref`, a parameter; an id wins."""
    ref = sa.bindparam("ref", type_=sa.String())
    named = sa.or_(table.c.id == ref, table.c.name == ref)
    return sa.select(table, *also).where(named).order_by(sa.desc(table.c.id == ref)).limit(1)


def to_row(table: sa.Table, value: Wire) -> dict[str, Any]:
    """The columns of `table` for `value`: fields with a column of their own there, the others in `body`."""
    columns = table.columns.keys()
    kept = value.__class__.model_fields.keys()
    body = value.model_dump(mode="json", include={name for name in kept if name not in columns})
    return {**{name: getattr(value, name) for name in columns if name != "body"}, "body": body}


def from_row(kind: type[W], row: RowMapping) -> W:
    """The value that `to_row` stored; columns win over the body."""
    fields: dict[str, Any] = {**(row["body"] or {}), **row}
    del fields["body"]
    return kind.model_validate(fields)
