"""The journal's tables; `migrations` brings a database to this shape."""

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
        sqlite_where=text("NOT final AND NOT waiting AND readable"),
    ),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("operation_id", String, primary_key=True),
    Column("buried_at", Float, nullable=False),
)

# One row; a table of its own because a sequence never comes again, even when all is pruned.
last_sequence = Table("last_sequence", metadata, Column("sequence", Integer, nullable=False))
