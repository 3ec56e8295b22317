"""Keys, the audit log, and what is kept of the erased."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(JSONB, "postgresql")


def upgrade() -> None:
    operations()
    keys()
    erased()
    op.add_column("events", Column("emptied", sa.Boolean(), nullable=False, server_default=sa.false()))


def operations() -> None:
    with op.batch_alter_table("operations") as table:
        table.alter_column("run_id", existing_type=sa.String(), nullable=True)
        table.add_column(Column("person_id", ID, nullable=True))
        table.add_column(Column("subject", sa.String(), nullable=False, server_default=""))
        table.add_column(Column("key_name", sa.String(), nullable=False, server_default=""))
        table.add_column(Column("details", DOCUMENT, nullable=False, server_default="{}"))
        table.create_foreign_key("operations_person_id_fkey", "people", ["person_id"], ["id"])
    op.create_index("ix_operations_person_id", "operations", ["person_id"])


def keys() -> None:
    op.create_table(
        "keys",
        Column("id", ID, nullable=False),
        Column("name", sa.String(), nullable=False),
        Column("scope", sa.String(), nullable=False),
        Column("hash", sa.String(), nullable=False),
        Column("rate", sa.Float(), nullable=True),
        Column("created_at", MOMENT, nullable=False),
        Column("expires_at", MOMENT, nullable=True),
        Column("revoked_at", MOMENT, nullable=True),
        Column("last_used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
    )
    op.create_index("ix_keys_name", "keys", ["name"])


def erased() -> None:
    op.create_table(
        "erased", Column("hash", sa.String(), nullable=False), Column("at", MOMENT, nullable=False), sa.PrimaryKeyConstraint("hash")
    )
    op.create_table(
        "erasures",
        Column("id", ID, nullable=False),
        Column("hash", sa.String(), nullable=False),
        Column("workflow_ids", DOCUMENT, nullable=False),
        Column("busy_until", MOMENT, nullable=True),
        Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
