"""Run by Alembic: it migrates the connection that it was given, inside that connection's transaction."""

from alembic import context

from kubiya_workers.control_plane.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
