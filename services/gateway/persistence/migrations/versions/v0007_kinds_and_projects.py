"""Find the operations of a kind, or of a project, without reading all of them."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("operations_by_kind", "operations", ["kind", "created"])
    op.create_index("operations_by_project", "operations", ["project", "created"])


def downgrade() -> None:
    op.drop_index("operations_by_project", "operations")
    op.drop_index("operations_by_kind", "operations")
