"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
DOCUMENT = sa.JSON().with_variant(JSONB, "postgresql")
TO_ROUTE = sa.text("status = 'pending' OR reconsider IS NOT NULL")
OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    people()
    assignments()
    consents()
    devices()
    events()
    inbox()
    mailbox()
    runs()
    messages()
    operations()


def people() -> None:
    op.create_table(
        "people",
        Column("id", ID, nullable=False),
        Column("user_id", sa.String(), nullable=False),
        Column("zone", sa.String(), nullable=False),
        Column("locale", sa.String(), nullable=False),
        Column("email", sa.String(), nullable=True),
        Column("phone", sa.String(), nullable=True),
        Column("traits", DOCUMENT, nullable=False),
        Column("trait_times", DOCUMENT, nullable=False),
        Column("created_at", MOMENT, nullable=False),
        Column("claimed_by", sa.String(), nullable=True),
        Column("claimed_until", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id"),
        sqlite_autoincrement=True,  # the number of a row that is gone is nobody else's
    )


def assignments() -> None:
    op.create_table(
        "assignments",
        Column("person_id", ID, nullable=False),
        Column("experiment", sa.String(), nullable=False),
        Column("variant", sa.String(), nullable=False),
        Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("person_id", "experiment"),
    )


def consents() -> None:
    op.create_table(
        "consents",
        Column("id", ID, nullable=False),
        Column("person_id", ID, nullable=False),
        Column("topic", sa.String(), nullable=False),
        Column("channel", sa.String(), nullable=False),
        Column("granted", sa.Boolean(), nullable=False),
        Column("source", sa.String(), nullable=False),
        Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("consents_by_topic", "consents", ["person_id", "topic", "id"])


def devices() -> None:
    op.create_table(
        "devices",
        Column("token", sa.String(), nullable=False),
        Column("person_id", ID, nullable=False),
        Column("platform", sa.String(), nullable=False),
        Column("seen_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("token"),
    )
    op.create_index("ix_devices_person_id", "devices", ["person_id"])


def events() -> None:
    op.create_table(
        "events",
        Column("id", ID, nullable=False),
        Column("person_id", ID, nullable=False),
        Column("message_id", sa.String(), nullable=False),
        Column("kind", sa.String(), nullable=False),
        Column("name", sa.String(), nullable=False),
        Column("data", DOCUMENT, nullable=False),
        Column("context", DOCUMENT, nullable=False),
        Column("occurred_at", MOMENT, nullable=False),
        Column("accepted_at", MOMENT, nullable=False),
        Column("clock_offset", sa.Float(), nullable=False),
        Column("changed", DOCUMENT, nullable=False),
        Column("run_id", sa.String(), nullable=True),
        Column("status", sa.String(), nullable=False),
        Column("error", sa.Text(), nullable=False),
        Column("reconsider", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("message_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_person", "events", ["person_id", "id"])
    op.create_index("events_to_route", "events", ["person_id", "id"], sqlite_where=TO_ROUTE, postgresql_where=TO_ROUTE)
    op.create_index("events_to_route_first", "events", ["id"], sqlite_where=TO_ROUTE, postgresql_where=TO_ROUTE)


def inbox() -> None:
    op.create_table(
        "inbox",
        Column("key", sa.String(), nullable=False),
        Column("person_id", ID, nullable=False),
        Column("title", sa.String(), nullable=False),
        Column("body", sa.Text(), nullable=False),
        Column("action", sa.String(), nullable=False),
        Column("action_url", sa.String(), nullable=False),
        Column("at", MOMENT, nullable=False),
        Column("read_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_inbox_person_id", "inbox", ["person_id"])


def mailbox() -> None:
    op.create_table(
        "mailbox",
        Column("id", ID, nullable=False),
        Column("key", sa.String(), nullable=False),
        Column("person_id", ID, nullable=False),
        Column("journey", sa.String(), nullable=False),
        Column("template", sa.String(), nullable=False),
        Column("channel", sa.String(), nullable=False),
        Column("recipient", sa.String(), nullable=False),
        Column("subject", sa.String(), nullable=False),
        Column("text", sa.Text(), nullable=False),
        Column("html", sa.Text(), nullable=False),
        Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_mailbox_at", "mailbox", ["at"])
    op.create_index("ix_mailbox_person_id", "mailbox", ["person_id"])


def runs() -> None:
    op.create_table(
        "runs",
        Column("id", sa.String(), nullable=False),
        Column("person_id", ID, nullable=False),
        Column("journey", sa.String(), nullable=False),
        Column("version", sa.Integer(), nullable=False),
        Column("key", sa.String(), nullable=False),
        Column("workflow_id", sa.String(), nullable=False),
        Column("status", sa.String(), nullable=False),
        Column("reason", sa.Text(), nullable=False),
        Column("paused", sa.Boolean(), nullable=False),
        Column("trigger_id", ID, nullable=True),
        Column("trigger", sa.String(), nullable=False),
        Column("started_at", MOMENT, nullable=False),
        Column("ended_at", MOMENT, nullable=True),
        Column("requested_at", MOMENT, nullable=False),
        Column("idempotency_key", sa.String(), nullable=True),
        Column("request", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("idempotency_key"),
    )
    op.create_index("ix_runs_workflow_id", "runs", ["workflow_id"])
    op.create_index("runs_by_person", "runs", ["person_id", "journey"])
    op.create_index("runs_open", "runs", ["person_id", "journey", "key"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)


def messages() -> None:
    op.create_table(
        "messages",
        Column("key", sa.String(), nullable=False),
        Column("run_id", sa.String(), nullable=False),
        Column("person_id", ID, nullable=False),
        Column("journey", sa.String(), nullable=False),
        Column("step", sa.String(), nullable=False),
        Column("channel", sa.String(), nullable=False),
        Column("template", sa.String(), nullable=False),
        Column("topic", sa.String(), nullable=False),
        Column("status", sa.String(), nullable=False),
        Column("reason", sa.Text(), nullable=False),
        Column("at", MOMENT, nullable=False),
        Column("attempts", sa.Integer(), nullable=False),
        Column("leased_until", MOMENT, nullable=True),
        Column("retry_at", MOMENT, nullable=True),
        Column("provider_id", sa.String(), nullable=True),
        Column("experiment", sa.String(), nullable=True),
        Column("variant", sa.String(), nullable=True),
        Column("exposed_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"]),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_messages_run_id", "messages", ["run_id"])
    op.create_index("messages_by_person", "messages", ["person_id", "at"])


def operations() -> None:
    op.create_table(
        "operations",
        Column("id", ID, nullable=False),
        Column("run_id", sa.String(), nullable=False),
        Column("action", sa.String(), nullable=False),
        Column("actor", sa.String(), nullable=False),
        Column("reason", sa.Text(), nullable=False),
        Column("step", sa.String(), nullable=False),
        Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_operations_run_id", "operations", ["run_id"])
