"""What a host needs to carry out snapshot policies by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = (
    "policy_plan",
    "policy_cursors",
    "policy_runs",
    "policy_failures",
    "snapshot_records",
    "clock_agreement",
    "last_policy_sequence",
)


def upgrade() -> None:
    op.create_table(
        "policy_plan",
        sa.Column("plan_version", sa.Integer, primary_key=True),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("plan", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "policy_cursors",
        sa.Column("policy_id", sa.String, primary_key=True),
        sa.Column("schedule", sa.String, nullable=False),
        sa.Column("slot", sa.Float, nullable=False),
        sa.Column("behind", sa.Float),
        sa.Column("left_at", sa.Float),
    )
    op.create_table(
        "policy_failures",
        sa.Column("policy_id", sa.String, primary_key=True),
        sa.Column("uuid", sa.String, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("code", sa.String, nullable=False),
    )
    op.create_table(
        "clock_agreement",
        sa.Column("boot_id", sa.String, primary_key=True),
        sa.Column("offset_s", sa.Float, nullable=False),
    )
    _create_runs()
    _create_snapshot_records()


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)


def _create_runs() -> None:
    op.create_table(
        "policy_runs",
        sa.Column("operation_id", sa.String, primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False, unique=True),
        sa.Column("phase", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("confirmed", sa.Boolean, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.Column("run", sa.LargeBinary, nullable=False),
    )
    for name, column, where in (
        ("unfinished_policy_runs", "sequence", "phase != 'over'"),
        ("unconfirmed_policy_runs", "sequence", "confirmed = 0"),
        ("old_policy_runs", "changed_at", "phase = 'over'"),
    ):
        op.create_index(name, "policy_runs", [column], sqlite_where=sa.text(where))
    last_sequence = op.create_table(
        "last_policy_sequence", sa.Column("sequence", sa.Integer, nullable=False)
    )
    op.bulk_insert(last_sequence, [{"sequence": 0}])


def _create_snapshot_records() -> None:
    op.create_table(
        "snapshot_records",
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("uuid", sa.String, primary_key=True),
        sa.Column("snapshot", sa.String, primary_key=True),
        sa.Column("created_at", sa.String, nullable=False),
        sa.Column("instance_created_at", sa.String, nullable=False),
        sa.Column("policy_id", sa.String, nullable=False),
        sa.Column("policy", sa.String, nullable=False),
        sa.Column("slot", sa.String, nullable=False),
        sa.Column("misdated", sa.Boolean, nullable=False),
        sa.Column("protected", sa.Boolean, nullable=False),
        sa.Column("tags", sa.String, nullable=False),
        sa.Column("expires_at", sa.String, nullable=False),
        sa.Column("missing_since", sa.Float),
    )
    op.create_index(
        "missing_snapshots",
        "snapshot_records",
        ["missing_since"],
        sqlite_where=sa.text("missing_since IS NOT NULL"),
    )
