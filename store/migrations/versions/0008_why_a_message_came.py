"""A message keeps what it told its reader of why they get it."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("messages", sa.Column("why", sa.Text(), nullable=False, server_default=""))
