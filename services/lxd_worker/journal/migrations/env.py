"""Runs the migrations on the connection that the worker hands over."""

from alembic import context

from services.lxd_worker.journal.tables import metadata

# SQLite cannot alter most things in place: batch mode copies the table instead.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
