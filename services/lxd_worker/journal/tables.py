"""The journal's tables; `migrations` brings a database to this schema.

SQLite uses a partial index only if the query has its condition in the same words, and SQLAlchemy
writes `column = 0`, not `NOT column`.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)

metadata = MetaData()

operations = Table(
    "operations",
    metadata,
    Column("operation_id", String, primary_key=True),
    Column("sequence", Integer, nullable=False, unique=True),
    Column("project", String, nullable=False),
    Column("instance", String, nullable=False),
    Column("new_name", String, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("waiting", Boolean, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("changed_at", Float, nullable=False),
    # False: this release does not understand `entry`; see `rows`.
    Column("readable", Boolean, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    # The lock on an instance: two unfinished operations that do not wait are impossible.
    Index(
        "one_holder_per_instance",
        "project",
        "instance",
        unique=True,
        sqlite_where=text("final = 0 AND waiting = 0 AND readable = 1"),
    ),
    # Small compared with the table, which holds all operations that have ended.
    Index(
        "unfinished_operations",
        "project",
        "instance",
        sqlite_where=text("final = 0 AND readable = 1"),
    ),
    Index("unconfirmed_operations", "sequence", sqlite_where=text("confirmed = 0")),
    Index("unreadable_operations", "changed_at", sqlite_where=text("readable = 0")),
    Index("old_operations", "changed_at", sqlite_where=text("final = 1 AND confirmed = 1")),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("operation_id", String, primary_key=True),
    Column("buried_at", Float, nullable=False),
    Index("tombstones_by_age", "buried_at"),
)

# One row; a table of its own because a number is never reused, even after all rows are pruned.
last_sequence = Table("last_sequence", metadata, Column("sequence", Integer, nullable=False))

# What snapshot policies need; see `policies.store`. One row: the plan that this host carries out.
policy_plan = Table(
    "policy_plan",
    metadata,
    Column("plan_version", Integer, primary_key=True),
    Column("digest", String, nullable=False),
    Column("plan", LargeBinary, nullable=False),
)

# The newest slot of each policy for which runs were recorded, in seconds since 1970; see `Cursor`.
policy_cursors = Table(
    "policy_cursors",
    metadata,
    Column("policy_id", String, primary_key=True),
    Column("schedule", String, nullable=False),
    Column("slot", Float, nullable=False),
    Column("behind", Float),
    Column("left_at", Float),
)

policy_runs = Table(
    "policy_runs",
    metadata,
    Column("operation_id", String, primary_key=True),
    Column("sequence", Integer, nullable=False, unique=True),
    Column("phase", String, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("run", LargeBinary, nullable=False),
    Index("unfinished_policy_runs", "sequence", sqlite_where=text("phase != 'over'")),
    Index("unconfirmed_policy_runs", "sequence", sqlite_where=text("confirmed = 0")),
    Index("old_policy_runs", "changed_at", sqlite_where=text("phase = 'over'")),
)

# How many slots of a policy have brought an instance no snapshot, since the last one that did.
policy_failures = Table(
    "policy_failures",
    metadata,
    Column("policy_id", String, primary_key=True),
    Column("uuid", String, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("code", String, nullable=False),
)

# What we know of snapshots beyond LXD: which policy took them, and marks that people have set.
# `created_at` is LXD's: a snapshot of the same name with another one is not this one. So it is with
# the instance's: a copy may have the uuid of the original.
snapshot_records = Table(
    "snapshot_records",
    metadata,
    Column("project", String, primary_key=True),
    Column("uuid", String, primary_key=True),
    Column("snapshot", String, primary_key=True),
    Column("created_at", String, nullable=False),
    Column("instance_created_at", String, nullable=False),
    Column("policy_id", String, nullable=False),
    Column("policy", String, nullable=False),
    Column("slot", String, nullable=False),
    Column("misdated", Boolean, nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("tags", String, nullable=False),
    Column("expires_at", String, nullable=False),
    # Since when LXD does not list it, in seconds since 1970; None: it does.
    Column("missing_since", Float),
    Index("missing_snapshots", "missing_since", sqlite_where=text("missing_since IS NOT NULL")),
)

# At most one row: when, in the present boot, the clock agreed with the centre's.
clock_agreement = Table(
    "clock_agreement",
    metadata,
    Column("boot_id", String, primary_key=True),
    Column("offset_s", Float, nullable=False),
)

# As `last_sequence`, of policy runs.
last_policy_sequence = Table(
    "last_policy_sequence", metadata, Column("sequence", Integer, nullable=False)
)
