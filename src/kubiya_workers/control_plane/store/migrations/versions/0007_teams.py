"""Teams, the members of their runs, and what is counted for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "teams",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", JSON, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.add_column("executions", sa.Column("team_name", sa.Text(), nullable=True))
    op.add_column("executions", sa.Column("members", JSON, nullable=True))
    op.create_index(op.f("ix_executions_parent_execution_id"), "executions", ["parent_execution_id"])
    op.add_column("usage", sa.Column("team", sa.Text(), nullable=True))
