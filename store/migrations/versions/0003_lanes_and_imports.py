"""Lanes, attempts and imports: what the router serves first, what it gave up, and how far a file is read."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)
TO_ROUTE = sa.text("status = 'pending' OR reconsider IS NOT NULL")


def upgrade() -> None:
    lanes()
    imports()


def lanes() -> None:
    for column in (
        Column("lane", sa.Integer(), nullable=False, server_default="0"),
        Column("starts", sa.Boolean(), nullable=False, server_default=sa.true()),
        Column("attempts", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("events", column)
    op.drop_index("events_to_route_first", "events")
    op.create_index("events_by_turn", "events", ["lane", "person_id", "id"], sqlite_where=TO_ROUTE, postgresql_where=TO_ROUTE)


def imports() -> None:
    op.create_table(
        "imports",
        Column("digest", sa.String(), nullable=False),
        Column("source", sa.String(), nullable=False),
        Column("lines", sa.Integer(), nullable=False),
        Column("accepted", sa.Integer(), nullable=False),
        Column("refused", sa.Integer(), nullable=False),
        Column("begun_at", MOMENT, nullable=False),
        Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("digest"),
    )
