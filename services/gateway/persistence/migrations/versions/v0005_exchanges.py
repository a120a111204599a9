"""Keep the name of each host's exchange, which a gateway has learned; empty: not yet."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    exchange = sa.Column("exchange", sa.String(255), nullable=False, server_default="")
    op.add_column("hosts", exchange)


def downgrade() -> None:
    with op.batch_alter_table("hosts") as hosts:
        hosts.drop_column("exchange")
