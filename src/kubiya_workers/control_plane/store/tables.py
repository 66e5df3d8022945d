"""The tables, for SQLite and PostgreSQL alike. Times are UTC; bodies of varying shape are JSON.

Changing a table here needs a new numbered migration beside it: a test holds the two against each other.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()


class Json(sa.types.TypeDecorator[Any]):
    """JSON, in PostgreSQL of the binary kind. Its dialect is loaded where it is spoken: 50 ms of a start on SQLite."""

    impl = sa.JSON
    cache_ok = True

    def __init__(self, *, none_as_null: bool = False) -> None:
        super().__init__(none_as_null=none_as_null)
        self.none_as_null = none_as_null

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(sa.JSON(none_as_null=self.none_as_null))
        from sqlalchemy.dialects.postgresql import JSONB

        return dialect.type_descriptor(JSONB(none_as_null=self.none_as_null))


JSON = Json()


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """A moment in UTC; SQLite drops the zone, so it is put back on the way out."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def _id() -> sa.Column[str]:
    return sa.Column("id", sa.String(64), primary_key=True)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, UtcDateTime(), nullable=nullable)


def _body(name: str) -> sa.Column[Any]:
    return sa.Column(name, JSON, nullable=True)


def _text(name: str, *, nullable: bool = True) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


agents = sa.Table(
    "agents",
    METADATA,
    _id(),
    sa.Column("name", sa.Text(), nullable=False, unique=True),
    _body("body"),
    _moment("created_at"),
    _moment("updated_at"),
)
"""`body` is the rest of an `Agent`: nothing of it is searched by SQL."""

teams = sa.Table(
    "teams",
    METADATA,
    _id(),
    sa.Column("name", sa.Text(), nullable=False, unique=True),
    _body("body"),
    _moment("created_at"),
    _moment("updated_at"),
)

skills = sa.Table(
    "skills",
    METADATA,
    _id(),
    sa.Column("name", sa.Text(), nullable=False, unique=True),
    _body("body"),
    _moment("created_at"),
    _moment("updated_at"),
)

environments = sa.Table(
    "environments",
    METADATA,
    _id(),
    sa.Column("name", sa.Text(), nullable=False, unique=True),
    _body("body"),
    _moment("created_at"),
    _moment("updated_at"),
)

queues = sa.Table(
    "queues",
    METADATA,
    _id(),
    sa.Column("environment_id", sa.String(64), sa.ForeignKey("environments.id"), nullable=False),
    sa.Column("name", sa.Text(), nullable=False, unique=True),
    sa.Column("ephemeral", sa.Boolean(), nullable=False),
    _body("body"),
    _moment("created_at"),
    _moment("updated_at"),
)
"""Names are unique across environments: a worker is started with a queue's name alone."""

provisions = sa.Table(
    "provisions",
    METADATA,
    sa.Column("queue_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text(), nullable=False),
    sa.Column("execution_id", sa.String(64), nullable=True, unique=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=True),
    sa.Column("owner", sa.String(64), nullable=True, index=True),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("keep", sa.Boolean(), nullable=False),
    _moment("created_at"),
    _moment("seen_at"),
)
"""Workers on demand, wanted or there, one a queue: `services.provisions`. Without an execution it is a warm one."""

keys = sa.Table(
    "keys",
    METADATA,
    _id(),
    _text("name", nullable=False),
    sa.Column("scope", sa.String(16), nullable=False),
    sa.Column("prefix", sa.String(16), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("worker_id", sa.String(64), nullable=True, index=True),
    sa.Column("queue_id", sa.String(64), nullable=True),
    _moment("created_at"),
    _moment("expires_at", nullable=True),
    _moment("revoked_at", nullable=True),
    sa.Column("max_cost_usd", sa.Float(), nullable=True),
    sa.Column("budget_period", sa.String(8), nullable=True),
    _moment("last_used_at", nullable=True),
    sa.Column("registered_by", sa.String(64), nullable=True),
)
"""`digest` is the SHA-256 of the key in hex; the key itself is nowhere."""

tickets = sa.Table(
    "tickets",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("key_id", sa.String(64), nullable=False),
    _moment("expires_at"),
)
"""Each lets one browser in as its key; `digest` is the ticket's SHA-256 in hex."""

workers = sa.Table(
    "workers",
    METADATA,
    _id(),
    sa.Column("queue_id", sa.String(64), nullable=False, index=True),
    sa.Column("queue_name", sa.Text(), nullable=False),
    sa.Column("environment_id", sa.String(64), nullable=False),
    sa.Column("status", sa.String(16), nullable=False, index=True),
    _text("hostname"),
    sa.Column("pid", sa.Integer(), nullable=True),
    _text("version"),
    sa.Column("tasks_processed", sa.Integer(), nullable=False),
    _text("current_task_id"),
    _body("worker_metadata"),
    _body("system_info"),
    sa.Column("heartbeat_interval", sa.Integer(), nullable=False),
    _moment("registered_at"),
    _moment("last_heartbeat"),
    _moment("disconnected_at", nullable=True),
    _text("disconnect_reason"),
    sa.Column("wish", Json(none_as_null=True), nullable=True),
)
"""`wish` is the `Wish` that was asked last."""

executions = sa.Table(
    "executions",
    METADATA,
    _id(),
    sa.Column("execution_type", sa.String(16), nullable=False),
    sa.Column("entity_id", sa.String(64), nullable=False, index=True),
    _text("entity_name"),
    _text("prompt", nullable=False),
    _text("system_prompt"),
    sa.Column("status", sa.String(32), nullable=False, index=True),
    _text("status_reason"),
    _text("response"),
    _text("error_message"),
    sa.Column("failure_reason", sa.String(32), nullable=True),
    _text("model"),
    _body("usage"),
    _body("execution_metadata"),
    _body("workspace"),
    _body("run_start"),
    sa.Column("worker_queue_id", sa.String(64), nullable=True, index=True),
    sa.Column("task_queue_name", sa.Text(), nullable=True),
    sa.Column("worker_id", sa.String(64), nullable=True),
    sa.Column("parent_execution_id", sa.String(64), nullable=True, index=True),
    _text("team_name"),
    _body("members"),
    sa.Column("key_id", sa.String(64), nullable=True),
    sa.Column("job_id", sa.String(64), nullable=True, index=True),
    sa.Column("last_seq", sa.Integer(), nullable=False),
    _moment("created_at"),
    _moment("started_at", nullable=True),
    _moment("completed_at", nullable=True),
    _moment("updated_at"),
    _moment("traced_at", nullable=True),
    sa.Index("ix_executions_created_at", "created_at"),
    sa.Index("ix_executions_completed_at", "completed_at"),
)
"""`workspace` is a `Workspace`; `run_start` the workflow's input, so that a start that was interrupted between the
insert and Temporal can be done again; `members` the `Member`s of a team's run while it is open; `last_seq` the
sequence number of the newest event."""

events = sa.Table(
    "events",
    METADATA,
    sa.Column("execution_id", sa.String(64), sa.ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("key", sa.Text(), nullable=False),
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("step", sa.Integer(), nullable=False),
    sa.Column("attempt", sa.Integer(), nullable=False),
    sa.Column("part", sa.String(32), nullable=True),
    sa.Column("closes_step", sa.Boolean(), nullable=False),
    _body("body"),
    _moment("timestamp"),
    sa.UniqueConstraint("execution_id", "key", name="uq_events_key"),
    sa.Index("ix_events_step", "execution_id", "step", "attempt"),
)
"""`key` is `fact_key` of a fact, or `part@offset` of a coalesced delta, whose `part` is set; `body` the event."""

jobs = sa.Table(
    "jobs",
    METADATA,
    _id(),
    sa.Column("name", sa.Text(), nullable=False, unique=True),
    sa.Column("enabled", sa.Boolean(), nullable=False),
    sa.Column("trigger_type", sa.String(16), nullable=False),
    sa.Column("key_id", sa.String(64), nullable=False),
    sa.Column("next_at", UtcDateTime(), nullable=True, index=True),
    sa.Column("webhook_number", sa.Integer(), nullable=False),
    _text("webhook_secret"),
    _body("body"),
    _moment("created_at"),
    _moment("updated_at"),
)
"""`next_at` is when the schedule of one that is enabled is due; `webhook_number` makes the token of its address, and
another number makes that worth nothing; `webhook_secret` is what its sender signs with, and is never shown."""

job_firings = sa.Table(
    "job_firings",
    METADATA,
    _id(),
    sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("trigger", sa.String(16), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    _text("reason"),
    sa.Column("execution_id", sa.String(64), nullable=True),
    sa.Column("count", sa.Integer(), nullable=False),
    _text("prompt"),
    sa.Column("key_id", sa.String(64), nullable=True),
    sa.Column("owner", sa.String(64), nullable=True),
    _moment("scheduled_at"),
    _moment("created_at"),
    _moment("claimed_at"),
    sa.Index("ix_job_firings_job", "job_id", "created_at"),
    sa.Index("ix_job_firings_outcome", "outcome", "claimed_at"),
)
"""What became of each time that a job was due. `owner`, a control plane, has submitted the `prompt` of a pending one
since `claimed_at`, in the name of `key_id`; who is gone for long is followed by another."""

usage = sa.Table(
    "usage",
    METADATA,
    sa.Column("id", sa.String(96), primary_key=True),
    sa.Column("day", sa.String(10), nullable=False, index=True),
    sa.Column("execution_id", sa.String(64), nullable=True, index=True),
    sa.Column("step", sa.Integer(), nullable=True),
    _text("agent"),
    _text("team"),
    _text("queue"),
    sa.Column("worker_id", sa.String(64), nullable=True),
    sa.Column("key_id", sa.String(64), nullable=True, index=True),
    _text("key_name"),
    _text("model", nullable=False),
    sa.Column("input_tokens", sa.BigInteger(), nullable=False),
    sa.Column("output_tokens", sa.BigInteger(), nullable=False),
    sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
    sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
    sa.Column("cost_usd", sa.Float(), nullable=False),
)
"""One row a model call. It names what it came from as that was then, so that it says the same when all of it is
deleted; `day` is UTC's, as 2026-01-31."""

settings = sa.Table(
    "settings",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    _body("value"),
)
"""What people set for the whole control plane while it runs."""
