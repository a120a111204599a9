"""The gateway's database schema; see `migrations` for its history."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

hosts = Table(
    "hosts",
    metadata,
    Column("host", String(63), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("first_seen", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("inventory_at", Float),
    Column("operation_sequence", BigInteger, nullable=False, server_default="0"),
    Column("copies", LargeBinary),
    Column("exchange", String(255), nullable=False, server_default=""),
)

# A host's last inventory, with the changes since. `record` is the instance as JSON, `changed_at`
# the time of its last change.
instances = Table(
    "instances",
    metadata,
    Column("host", String(63), nullable=False),
    Column("project", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("changed_at", Float),
    PrimaryKeyConstraint("host", "project", "name"),
)

# The operations that hold a new name.
UNFINISHED = text("state in ('submitting', 'accepted', 'running', 'cancelling')")

# `record` is the whole operation as JSON; the other columns are for queries, or not in the record.
# No two unfinished operations of a project may have the same `new_name`.
operations = Table(
    "operations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("host", String(63), nullable=False),
    Column("instance", String(255), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("principal", String(255), nullable=False),
    Column("address", String(64), nullable=False),
    Column("created", Float, nullable=False),
    Column("parent_id", String(64), nullable=False),
    Column("step", String(64), nullable=False),
    Column("lease_owner", String(64), nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("record", Text, nullable=False),
    Column("project", String(255), nullable=False, server_default="default"),
    Column("new_name", String(255)),
    Index("operations_by_created", "created"),
    Index("operations_by_host", "host", "created"),
    Index("operations_by_instance", "instance", "created"),
    Index("operations_by_state", "state", "created"),
    Index("operations_by_kind", "kind", "created"),
    Index("operations_by_project", "project", "created"),
    Index(
        "operations_of_new_names",
        "project",
        "new_name",
        unique=True,
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    ),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("principal", String(255), nullable=False),
    Column("key", String(255), nullable=False),
    Column("fingerprint", String(128), nullable=False),
    Column("operation_id", String(64), nullable=False),
    Column("created", Float, nullable=False),
    PrimaryKeyConstraint("principal", "key"),
    Index("idempotency_keys_by_operation", "operation_id"),
    Index("idempotency_keys_by_created", "created"),
)

snapshot_notes = Table(
    "snapshot_notes",
    metadata,
    Column("host", String(63), nullable=False),
    Column("uuid", String(255), nullable=False),
    Column("snapshot", String(255), nullable=False),
    Column("description", Text, nullable=False),
    Column("noted_at", String(64), nullable=False),
    PrimaryKeyConstraint("host", "uuid", "snapshot"),
)
