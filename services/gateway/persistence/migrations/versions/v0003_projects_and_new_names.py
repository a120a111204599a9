"""Keep the project of operations, and which new name each of them holds until it ends."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INDEX = "operations_of_new_names"
UNFINISHED = sa.text("state in ('submitting', 'accepted', 'running', 'cancelling')")


def upgrade() -> None:
    project = sa.Column("project", sa.String(255), nullable=False, server_default="default")
    op.add_column("operations", project)
    op.add_column("operations", sa.Column("new_name", sa.String(255)))
    _read_projects()
    op.create_index(
        INDEX,
        "operations",
        ["project", "new_name"],
        unique=True,
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    )


def downgrade() -> None:
    op.drop_index(INDEX, "operations")
    with op.batch_alter_table("operations") as operations:
        operations.drop_column("new_name")
        operations.drop_column("project")


def _read_projects() -> None:
    operations = sa.table("operations", *(sa.column(name) for name in ("id", "project", "record")))
    connection = op.get_bind()
    # Nearly all are of the default project, and there may be very many.
    others = ~operations.c.record.contains('"project":"default"')
    query = sa.select(operations.c.id, operations.c.record).where(others)
    for row in connection.execute(query).all():
        project = json.loads(row.record).get("project", "default")
        if project != "default":
            same = operations.c.id == row.id
            connection.execute(sa.update(operations).where(same).values(project=project))
