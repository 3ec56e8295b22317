"""Who was judged by another definition is found without a look at everybody."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("memberships_by_digest", "memberships", ["segment", "digest"])
