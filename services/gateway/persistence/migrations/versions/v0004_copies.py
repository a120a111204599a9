"""Keep which instances of a host have a uuid that another host's instance held first."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("copies", sa.LargeBinary()))


def downgrade() -> None:
    with op.batch_alter_table("hosts") as hosts:
        hosts.drop_column("copies")
