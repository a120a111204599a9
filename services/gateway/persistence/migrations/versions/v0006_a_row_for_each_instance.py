"""Keep each instance in a row of its own, so that a change of one writes one."""

import json
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

HOSTS = sa.table("hosts", *map(sa.column, ("host", "inventory", "changes")))


def upgrade() -> None:
    instances = op.create_table(
        "instances",
        sa.Column("host", sa.String(63), nullable=False),
        sa.Column("project", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.Column("changed_at", sa.Float),
        sa.PrimaryKeyConstraint("host", "project", "name"),
    )
    for host, inventory, changes in op.get_bind().execute(sa.select(HOSTS)).all():
        rows = {(row["project"], row["name"]): row for row in _rows(host, inventory, changes)}
        op.bulk_insert(instances, list(rows.values()))
    with op.batch_alter_table("hosts") as hosts:
        hosts.drop_column("inventory")
        hosts.drop_column("changes")


def _rows(host: str, inventory: bytes | None, changes: bytes | None) -> Iterator[dict[str, object]]:
    """Yield a row for each instance; none where they cannot be read: the host will tell anew."""
    try:
        told, changed = json.loads(inventory or b"[]"), json.loads(changes or b"{}")
        for instance in told:
            yield {
                "host": host,
                "project": instance.get("project", "default"),
                "name": instance["name"],
                "record": json.dumps(instance).encode(),
                "changed_at": changed.get(instance["uuid"]),
            }
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return


def downgrade() -> None:
    with op.batch_alter_table("hosts") as hosts:
        hosts.add_column(sa.Column("inventory", sa.LargeBinary))
        hosts.add_column(sa.Column("changes", sa.LargeBinary))
    op.drop_table("instances")
