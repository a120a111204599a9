"""The journal's first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "operations",
        sa.Column("operation_id", sa.String, primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False, unique=True),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("instance", sa.String, nullable=False),
        sa.Column("final", sa.Boolean, nullable=False),
        sa.Column("confirmed", sa.Boolean, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "one_unfinished_per_instance",
        "operations",
        ["project", "instance"],
        unique=True,
        sqlite_where=sa.text("NOT final"),
    )
    op.create_table(
        "tombstones",
        sa.Column("operation_id", sa.String, primary_key=True),
        sa.Column("buried_at", sa.Float, nullable=False),
    )
    last_sequence = op.create_table(
        "last_sequence", sa.Column("sequence", sa.Integer, nullable=False)
    )
    op.bulk_insert(last_sequence, [{"sequence": 0}])


def downgrade() -> None:
    for table in ("last_sequence", "tombstones", "operations"):
        op.drop_table(table)
