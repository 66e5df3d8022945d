"""Which runs were sent as a trace."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("executions", sa.Column("traced_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_executions_completed_at", "executions", ["completed_at"])
