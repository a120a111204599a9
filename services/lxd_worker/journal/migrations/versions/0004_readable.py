"""Operations that cannot be read are set aside and do not hold their instance."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    readable = sa.Column("readable", sa.Boolean, nullable=False, server_default=sa.true())
    op.add_column("operations", readable)
    op.drop_index("one_holder_per_instance", "operations")
    _index("NOT final AND NOT waiting AND readable")


def downgrade() -> None:
    op.execute("DELETE FROM operations WHERE NOT readable")
    op.drop_index("one_holder_per_instance", "operations")
    op.drop_column("operations", "readable")
    _index("NOT final AND NOT waiting")


def _index(where: str) -> None:
    columns = ["project", "instance"]
    op.create_index(
        "one_holder_per_instance", "operations", columns, unique=True, sqlite_where=sa.text(where)
    )
