"""Indices whose conditions stand in the words of the queries, so that SQLite takes them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_HOLDER = "one_holder_per_instance"
_ADDED = {
    "unfinished_operations": (["project", "instance"], "final = 0 AND readable = 1"),
    "unconfirmed_operations": (["sequence"], "confirmed = 0"),
    "unreadable_operations": (["changed_at"], "readable = 0"),
    "old_operations": (["changed_at"], "final = 1 AND confirmed = 1"),
}


def upgrade() -> None:
    _hold("final = 0 AND waiting = 0 AND readable = 1")
    for name, (columns, where) in _ADDED.items():
        op.create_index(name, "operations", columns, sqlite_where=sa.text(where))
    op.create_index("tombstones_by_age", "tombstones", ["buried_at"])


def downgrade() -> None:
    op.drop_index("tombstones_by_age", "tombstones")
    for name in _ADDED:
        op.drop_index(name, "operations")
    _hold("NOT final AND NOT waiting AND readable")


def _hold(where: str) -> None:
    columns = ["project", "instance"]
    op.drop_index(_HOLDER, "operations")
    op.create_index(_HOLDER, "operations", columns, unique=True, sqlite_where=sa.text(where))
