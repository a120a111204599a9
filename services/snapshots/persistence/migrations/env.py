"""Alembic's entry: it runs on the connection that the service hands over, in its transaction."""

from alembic import context

from services.snapshots.persistence.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
