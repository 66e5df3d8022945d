"""When each key was last used, and which one a worker was registered with."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("keys", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("keys", sa.Column("registered_by", sa.String(length=64), nullable=True))
