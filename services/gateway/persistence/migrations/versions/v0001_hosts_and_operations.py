"""Create hosts, operations and idempotency keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hosts",
        sa.Column("host", sa.String(63), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("first_seen", sa.Float, nullable=False),
        sa.Column("last_seen", sa.Float, nullable=False),
        sa.Column("inventory", sa.LargeBinary),
        sa.Column("inventory_at", sa.Float),
        sa.Column("operation_sequence", sa.BigInteger, nullable=False, server_default="0"),
    )
    _create_operations()
    _create_idempotency_keys()


def _create_operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("host", sa.String(63), nullable=False),
        sa.Column("instance", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("principal", sa.String(255), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("parent_id", sa.String(64), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("lease_owner", sa.String(64), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
    )
    op.create_index("operations_by_created", "operations", ["created"])
    op.create_index("operations_by_host", "operations", ["host", "created"])
    op.create_index("operations_by_instance", "operations", ["instance", "created"])
    op.create_index("operations_by_state", "operations", ["state", "created"])


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("principal", sa.String(255), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("principal", "key"),
    )
    op.create_index("idempotency_keys_by_operation", "idempotency_keys", ["operation_id"])
    op.create_index("idempotency_keys_by_created", "idempotency_keys", ["created"])


def downgrade() -> None:
    for table in ("idempotency_keys", "operations", "hosts"):
        op.drop_table(table)
