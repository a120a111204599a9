"""Keep when instances changed, and descriptions of snapshots."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("changes", sa.LargeBinary))
    op.create_table(
        "snapshot_notes",
        sa.Column("host", sa.String(63), nullable=False),
        sa.Column("uuid", sa.String(255), nullable=False),
        sa.Column("snapshot", sa.String(255), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("noted_at", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("host", "uuid", "snapshot"),
    )


def downgrade() -> None:
    op.drop_table("snapshot_notes")
    with op.batch_alter_table("hosts") as hosts:
        hosts.drop_column("changes")
