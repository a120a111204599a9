"""The service's database schema; see `migrations` for its history."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData()

# `record` is the policy as JSON.
policies = Table(
    "policies",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("record", Text, nullable=False),
)

# The plan that each host is to have, and the one that it has reported. `runs_sequence`: all changes
# of the host's runs up to this one are stored.
hosts = Table(
    "hosts",
    metadata,
    Column("host", String(63), primary_key=True),
    Column("exchange", String(255), nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("plan_version", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("carried_version", BigInteger, nullable=False),
    Column("carried_digest", String(64), nullable=False),
    Column("clock_trusted", Boolean, nullable=False),
    Column("reported_at", String(30), nullable=False),
    Column("runs_sequence", BigInteger, nullable=False),
)

# `record` is the run as JSON, `stored_at` the Unix time of its last change. `slot` orders them: it
# is the run's, but no later than `stored_at`.
runs = Table(
    "runs",
    metadata,
    Column("host", String(63), nullable=False),
    Column("operation_id", String(64), nullable=False),
    Column("slot", String(30), nullable=False),
    Column("policy_id", String(64), nullable=False),
    Column("uuid", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("stored_at", Float, nullable=False),
    Column("record", Text, nullable=False),
    PrimaryKeyConstraint("host", "operation_id"),
    Index("runs_by_slot", "slot", "host", "operation_id"),
    Index("runs_by_host", "host", "slot", "operation_id"),
    Index("runs_by_policy", "policy_id", "slot", "host", "operation_id"),
    Index("runs_by_instance", "uuid", "slot", "host", "operation_id"),
    Index("runs_by_state", "state", "slot", "host", "operation_id"),
    Index("runs_by_age", "stored_at"),
)

# Which copy of the service makes plans and sends them, until when. One row.
lease = Table(
    "lease",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("until", Float, nullable=False),
)

# `policies`: how often they were changed. `plan`: the version of the newest plan.
counters = Table(
    "counters",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
