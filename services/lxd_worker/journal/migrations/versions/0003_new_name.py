"""A rename holds the new name too."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    new_name = sa.Column("new_name", sa.String, nullable=False, server_default="")
    op.add_column("operations", new_name)


def downgrade() -> None:
    op.drop_column("operations", "new_name")
