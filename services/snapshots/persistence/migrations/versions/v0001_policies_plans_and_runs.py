"""Create policies, hosts with their plans, runs, the lease and the counters."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Of the runs: each index serves one filter of their list, in its order.
INDICES = {
    "runs_by_slot": ["slot", "host", "operation_id"],
    "runs_by_host": ["host", "slot", "operation_id"],
    "runs_by_policy": ["policy_id", "slot", "host", "operation_id"],
    "runs_by_instance": ["uuid", "slot", "host", "operation_id"],
    "runs_by_state": ["state", "slot", "host", "operation_id"],
    "runs_by_age": ["stored_at"],
}


def upgrade() -> None:
    op.create_table(
        "policies",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(63), nullable=False, unique=True),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_table(
        "hosts",
        sa.Column("host", sa.String(63), primary_key=True),
        sa.Column("exchange", sa.String(255), nullable=False),
        sa.Column("last_seen", sa.Float, nullable=False),
        sa.Column("plan_version", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("carried_version", sa.BigInteger, nullable=False),
        sa.Column("carried_digest", sa.String(64), nullable=False),
        sa.Column("clock_trusted", sa.Boolean, nullable=False),
        sa.Column("reported_at", sa.String(30), nullable=False),
        sa.Column("runs_sequence", sa.BigInteger, nullable=False),
    )
    _create_runs()
    _create_single_rows()


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("host", sa.String(63), nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("slot", sa.String(30), nullable=False),
        sa.Column("policy_id", sa.String(64), nullable=False),
        sa.Column("uuid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("stored_at", sa.Float, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("host", "operation_id"),
    )
    for name, columns in INDICES.items():
        op.create_index(name, "runs", columns)


def _create_single_rows() -> None:
    lease = op.create_table(
        "lease",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )
    counters = op.create_table(
        "counters",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(lease, [{"name": "plans", "owner": "", "until": 0.0}])
    op.bulk_insert(counters, [{"name": name, "value": 0} for name in ("policies", "plan")])


def downgrade() -> None:
    for table in ("policies", "hosts", "runs", "lease", "counters"):
        op.drop_table(table)
