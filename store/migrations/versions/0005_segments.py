"""Who belongs to which segment, and each person's lifecycle state."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
HAPPENED = sa.text("(CASE WHEN occurred_at < accepted_at THEN occurred_at ELSE accepted_at END)")
REAL_TIME = sa.text("turns_at IS NOT NULL AND clock_offset = 0")


def upgrade() -> None:
    op.create_index("people_by_email", "people", [sa.text("lower(email)")])
    op.add_column("events", Column("noted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("events_by_moment", "events", ["person_id", "name", HAPPENED])
    op.create_table(
        "memberships",
        Column("person_id", ID, nullable=False),
        Column("segment", sa.String(), nullable=False),
        Column("value", sa.String(), nullable=False),
        Column("since", MOMENT, nullable=False),
        Column("turns_at", MOMENT, nullable=True),
        Column("digest", sa.String(), nullable=False),
        Column("changes", sa.Integer(), nullable=False),
        Column("clock_offset", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("person_id", "segment"),
    )
    op.create_index("memberships_by_value", "memberships", ["segment", "value", "person_id"])
    op.create_index("memberships_to_turn", "memberships", ["turns_at"], sqlite_where=REAL_TIME, postgresql_where=REAL_TIME)
    op.create_table(
        "segment_fills",
        Column("segment", sa.String(), nullable=False),
        Column("digest", sa.String(), nullable=False),
        Column("reached", ID, nullable=False),
        Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("segment"),
    )
