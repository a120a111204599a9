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
