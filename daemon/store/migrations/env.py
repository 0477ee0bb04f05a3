"""Run by Alembic: migrates over the connection that `daemon.store.migrate` hands in."""

from __future__ import annotations

from alembic import context

from daemon.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
