"""Operations that wait for the creation of their instance do not hold it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    waiting = sa.Column("waiting", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("operations", waiting)
    op.drop_index("one_unfinished_per_instance", "operations")
    _index("one_holder_per_instance", "NOT final AND NOT waiting")


def downgrade() -> None:
    op.execute("DELETE FROM operations WHERE waiting AND NOT final")
    op.drop_index("one_holder_per_instance", "operations")
    op.drop_column("operations", "waiting")
    _index("one_unfinished_per_instance", "NOT final")


def _index(name: str, where: str) -> None:
    columns = ["project", "instance"]
    op.create_index(name, "operations", columns, unique=True, sqlite_where=sa.text(where))
