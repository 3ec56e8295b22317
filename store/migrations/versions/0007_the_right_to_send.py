"""The right to send: consents with their evidence, suppressions, kill switches, and what became of a message."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007"
down_revision = "0006"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(JSONB, "postgresql")
IN_DOUBT = "status IN ('intent', 'unknown', 'held')"
WAITING = "status = 'deferred'"


def upgrade() -> None:
    people()
    consents()
    suppressions()
    stops()
    webhooks()
    messages()


def people() -> None:
    op.add_column("people", Column("paused_until", MOMENT, nullable=True))
    op.add_column("people", Column("fewer", sa.Boolean(), nullable=False, server_default=sa.false()))


def consents() -> None:
    op.add_column("consents", Column("pending", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("consents", Column("wording", sa.Text(), nullable=False, server_default=""))
    op.add_column("consents", Column("evidence", DOCUMENT, nullable=False, server_default="{}"))
    op.add_column("consents", Column("actor", sa.String(), nullable=False, server_default=""))


def suppressions() -> None:
    op.create_table(
        "suppressions",
        Column("address", sa.String(), nullable=False),
        Column("channel", sa.String(), nullable=False),
        Column("cause", sa.String(), nullable=False),
        Column("source", sa.String(), nullable=False),
        Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("address", "channel"),
    )


def stops() -> None:
    op.create_table(
        "stops",
        Column("id", ID, nullable=False),
        Column("scope", sa.String(), nullable=False),
        Column("name", sa.String(), nullable=False),
        Column("actor", sa.String(), nullable=False),
        Column("reason", sa.Text(), nullable=False),
        Column("at", MOMENT, nullable=False),
        Column("released_at", MOMENT, nullable=True),
        Column("released_by", sa.String(), nullable=False),
        Column("choice", sa.String(), nullable=False),
        Column("over", sa.Float(), nullable=False),
        Column("finished_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )


def webhooks() -> None:
    op.create_table(
        "endpoints",
        Column("name", sa.String(), nullable=False),
        Column("disabled_at", MOMENT, nullable=True),
        Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "notices",
        Column("id", ID, nullable=False),
        Column("key", sa.String(), nullable=False),
        Column("person_id", ID, nullable=True),
        Column("kind", sa.String(), nullable=False),
        Column("data", DOCUMENT, nullable=False),
        Column("at", MOMENT, nullable=False),
        Column("due_at", MOMENT, nullable=True),
        Column("attempts", sa.Integer(), nullable=False),
        Column("error", sa.Text(), nullable=False),
        Column("told_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
    )
    op.create_index("ix_notices_person_id", "notices", ["person_id"])
    op.create_index("ix_notices_due_at", "notices", ["due_at"])


def messages() -> None:
    op.add_column("messages", Column("transactional", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("messages", Column("saw", DOCUMENT, nullable=False, server_default="{}"))
    op.add_column("messages", Column("begun_at", MOMENT, nullable=True))
    op.add_column("messages", Column("provider", sa.String(), nullable=False, server_default=""))
    op.add_column("messages", Column("sent_to", sa.String(), nullable=False, server_default=""))
    op.add_column("messages", Column("doubted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("messages", Column("doubted_at", MOMENT, nullable=True))
    op.add_column("messages", Column("happened", DOCUMENT, nullable=False, server_default="{}"))
    op.create_index("messages_by_provider_id", "messages", ["channel", "provider_id"])
    for name, column, where in (("messages_in_doubt", "status", IN_DOUBT), ("messages_waiting", "reason", WAITING)):
        op.create_index(name, "messages", [column], sqlite_where=sa.text(where), postgresql_where=sa.text(where))
