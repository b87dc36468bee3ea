"""Run by Alembic: migrates over the connection that `database.open_database` hands it."""

from __future__ import annotations

from alembic import context

from fal_serverless.backend.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
