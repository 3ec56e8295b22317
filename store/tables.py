"""The tables: what Sojourn keeps, and for whom."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from store.columns import NEVER_AGAIN, Document, Id, moment

HAPPENED = "CASE WHEN occurred_at < accepted_at THEN occurred_at ELSE accepted_at END"  # nothing happens after we hear of it
TO_ROUTE = "status = 'pending' OR reconsider IS NOT NULL"
LIVE, BACKLOG = 0, 1  # lanes of events: what happens now is served before what was imported
IN_DOUBT = "status IN ('intent', 'unknown', 'held')"
WAITING = "status = 'deferred'"
REAL_TIME = "turns_at IS NOT NULL AND clock_offset = 0"


class Person(SQLModel, table=True):
    """One profile. Its row is the lock under which this person's events are accepted and messages begin."""

    __tablename__ = "people"
    __table_args__ = (Index("people_by_email", text("lower(email)")), NEVER_AGAIN)

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    user_id: str = Field(unique=True)
    zone: str = ""
    locale: str = ""
    email: str | None = None
    phone: str | None = Field(default=None, index=True)
    traits: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    trait_times: dict[str, str] = Field(default_factory=dict, sa_type=Document)  # when each trait was set, ISO 8601
    created_at: datetime = moment()
    claimed_by: str | None = None  # the router that works on this person's events, up to `claimed_until` by the database's clock
    claimed_until: datetime | None = moment(default=None)
    paused_until: datetime | None = moment(default=None)  # they asked for a pause, by their clock
    fewer: bool = False  # they asked for fewer messages


class Identity(SQLModel, table=True):
    """A name that a person goes by: a userId as it is, `anon:` and an anonymousId, `email:` or `phone:` and an address.

    Every name is one person's. `Person.user_id` is the one of them that they are called by.
    """

    __tablename__ = "identities"

    name: str = Field(primary_key=True)
    person_id: int = Field(foreign_key="people.id", index=True, sa_type=Id)


class Merge(SQLModel, table=True):
    """A row of `people` that turned out to be somebody we knew already: all it had is theirs, and the row itself is gone."""

    __tablename__ = "merges"

    absorbed_id: int = Field(primary_key=True, sa_type=Id, sa_column_kwargs={"autoincrement": False})
    into_id: int = Field(foreign_key="people.id", index=True, sa_type=Id)
    at: datetime = moment()


class Device(SQLModel, table=True):
    """A push token, and whose it is."""

    __tablename__ = "devices"

    token: str = Field(primary_key=True)
    person_id: int = Field(foreign_key="people.id", index=True, sa_type=Id)
    platform: str = ""
    seen_at: datetime = moment()


class Consent(SQLModel, table=True):
    """What a person said about a topic. Rows are only ever added; the last one for topic and channel holds ('*': all of them).

    A `pending` yes does not hold: it waits for its confirmation, which is a row of its own. `wording` is the text that they
    agreed to, or its version; `evidence` what else shows that it was them.
    """

    __tablename__ = "consents"
    __table_args__ = (Index("consents_by_topic", "person_id", "topic", "id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    person_id: int = Field(foreign_key="people.id", sa_type=Id)
    topic: str
    channel: str = "*"
    granted: bool
    source: str = ""
    at: datetime = moment()
    pending: bool = False
    wording: str = Field(default="", sa_type=Text)
    evidence: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    actor: str = ""  # who recorded it


class Suppression(SQLModel, table=True):
    """Nothing may go to this address, whoever uses it. It outlives the erasure of a person, for it names nobody.

    `address` is a keyed hash of `email:ADDRESS`, `phone:NUMBER`, or of a userId whom nothing may reach on any channel.
    """

    __tablename__ = "suppressions"

    address: str = Field(primary_key=True)
    channel: str = Field(primary_key=True)  # '*': all
    cause: str  # hard_bounce, complaint, stop, manual, or a provider's code
    source: str = ""
    at: datetime = moment()  # by the real clock


class Stop(SQLModel, table=True):
    """A kill switch that was thrown: `scope` is `all`, or `journey` or `channel` with its `name`. Open until it is released."""

    __tablename__ = "stops"

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    scope: str
    name: str = ""
    actor: str
    reason: str = Field(sa_type=Text)
    at: datetime = moment()  # by the real clock
    released_at: datetime | None = moment(default=None)
    released_by: str = ""
    choice: str = ""  # what is done with what had become due: send, retime, skip
    over: float = 0.0  # seconds, over which it is spread
    finished_at: datetime | None = moment(default=None)  # all of it has been told


class Endpoint(SQLModel, table=True):
    """What is known of an endpoint that webhooks go to: one that answered 410 is disabled until an operator enables it again."""

    __tablename__ = "endpoints"

    name: str = Field(primary_key=True)
    disabled_at: datetime | None = moment(default=None)
    reason: str = Field(default="", sa_type=Text)


class Notice(SQLModel, table=True):
    """Something that the team is to be told by webhook. `due_at` is when it is tried next, by the database's clock."""

    __tablename__ = "notices"

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    key: str = Field(unique=True)
    person_id: int | None = Field(default=None, foreign_key="people.id", index=True, sa_type=Id)
    kind: str
    data: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    at: datetime = moment()
    due_at: datetime | None = moment(default=None, index=True)  # None: told, or given up
    attempts: int = 0
    error: str = Field(default="", sa_type=Text)
    told_at: datetime | None = moment(default=None)


class AcceptedEvent(SQLModel, table=True):
    """One accepted call, for good. `id` is the order of acceptance, per person.

    `status`: `pending` until the router has acted on it, then `routed`; `unknown` and `invalid` events are kept, with
    `error`, and never reach a run; `dead` ones could not be routed, in `attempts` attempts. `clock_offset` is what the run's
    clock is ahead of the real one, in seconds: 0 but for a played stream. `run_id` is set on what concerns one run only.
    `changed` names what the call changed about the person (`zone`, `locale`, traits), which open runs may have to know, with
    what it was before, or null where that was nothing or is private. `noted`: the person's memberships have been judged by it
    before it was `routed`.
    `reconsider` names the journeys that this event is to be considered for again, as a trigger. People with events of `lane`
    LIVE are served before those with a BACKLOG only. What does not `starts` may reach runs, and begins none. `met_as` is the
    row of `people` it was accepted for, if that was merged since. `emptied` ones had data, which was too old to be kept.
    """

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("message_id"),
        Index("events_by_person", "person_id", "id"),
        Index("events_by_moment", "person_id", "name", text(f"({HAPPENED})")),
        Index("events_to_route", "person_id", "id", sqlite_where=text(TO_ROUTE), postgresql_where=text(TO_ROUTE)),
        Index("events_by_turn", "lane", "person_id", "id", sqlite_where=text(TO_ROUTE), postgresql_where=text(TO_ROUTE)),
        NEVER_AGAIN,
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    person_id: int = Field(foreign_key="people.id", sa_type=Id)
    message_id: str
    kind: str  # track, identify, run (a requested run), exit, pause and release (orders to one run)
    name: str  # the event's wire name
    data: dict[str, Any] = Field(default_factory=dict, sa_type=Document)  # properties or traits, as sent
    context: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    occurred_at: datetime = moment()  # by the client's clock
    accepted_at: datetime = moment()  # by the person's clock: ours, but for a played stream
    clock_offset: float = 0.0
    changed: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    run_id: str | None = None
    status: str = "pending"
    error: str = Field(default="", sa_type=Text)
    reconsider: str | None = None
    met_as: int | None = Field(default=None, sa_type=Id)
    lane: int = LIVE
    starts: bool = True
    attempts: int = 0
    emptied: bool = False
    noted: bool = False


class Membership(SQLModel, table=True):
    """Whether a person belongs to a segment, `value` `in` or `out`; under `lifecycle`, which state they are in.

    `value` is empty for somebody who was met and has not been looked at yet. `turns_at` is when time alone may change it:
    never later than it does, sometimes earlier. `digest` is that of the definition it was judged by, and empty if it is to be
    judged anew. `changes` is how often it has changed.
    """

    __tablename__ = "memberships"
    __table_args__ = (
        Index("memberships_by_value", "segment", "value", "person_id"),
        Index("memberships_by_digest", "segment", "digest"),
        Index("memberships_to_turn", "turns_at", sqlite_where=text(REAL_TIME), postgresql_where=text(REAL_TIME)),
    )

    person_id: int = Field(foreign_key="people.id", primary_key=True, sa_type=Id)
    segment: str = Field(primary_key=True)
    value: str
    since: datetime = moment()  # by the person's clock
    turns_at: datetime | None = moment(default=None)
    digest: str
    changes: int = 0
    clock_offset: float = 0.0  # of what it was last judged at: a played person's clock is not the real one


class Run(SQLModel, table=True):
    """One person's run through a journey.

    `status`: starting, running, then completed, exited, merged, terminated, cancelled, failed.

    `met_as` is the row of `people` it was begun for, if that was merged since.
    """

    __tablename__ = "runs"
    __table_args__ = (
        Index("runs_by_person", "person_id", "journey"),
        Index(
            "runs_open",
            "person_id",
            "journey",
            "key",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: str = Field(primary_key=True)
    person_id: int = Field(foreign_key="people.id", sa_type=Id)
    journey: str
    version: int
    key: str = ""
    workflow_id: str = Field(index=True)
    status: str = "starting"
    reason: str = Field(default="", sa_type=Text)
    paused: bool = False
    trigger_id: int | None = Field(default=None, sa_type=Id)  # the event it started on
    trigger: str  # its wire name
    started_at: datetime = moment()  # by the run's clock
    ended_at: datetime | None = moment(default=None)
    requested_at: datetime = moment()  # by the real clock
    idempotency_key: str | None = Field(default=None, unique=True)
    request: str | None = None  # a digest of the request that asked for it
    met_as: int | None = Field(default=None, sa_type=Id)


class Delivery(SQLModel, table=True):
    """The ledger: one row a message that a run meant to send, by its idempotency key, `run_id:step`.

    `status`: `intent` while an attempt holds the lease, `deferred` until `retry_at`, `retrying` after an outage, `held` until an
    operator says what became of it, then one of `sent`, `suppressed`, `exited`, `failed`, `unknown`. `reason` is the one that
    decided, and `saw` holds the facts that it went by.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index("messages_by_person", "person_id", "at"),
        Index("messages_by_provider_id", "channel", "provider_id"),
        Index("messages_in_doubt", "status", sqlite_where=text(IN_DOUBT), postgresql_where=text(IN_DOUBT)),
        Index("messages_waiting", "reason", sqlite_where=text(WAITING), postgresql_where=text(WAITING)),
    )

    key: str = Field(primary_key=True)
    run_id: str = Field(foreign_key="runs.id", index=True)
    person_id: int = Field(foreign_key="people.id", sa_type=Id)
    journey: str
    step: str
    channel: str
    template: str
    topic: str
    status: str
    reason: str = Field(default="", sa_type=Text)
    at: datetime = moment()  # of the last decision, by the run's clock
    attempts: int = 0
    leased_until: datetime | None = moment(default=None)  # by the database's clock
    retry_at: datetime | None = moment(default=None)
    provider_id: str | None = None
    experiment: str | None = None
    variant: str | None = None
    exposed_at: datetime | None = moment(default=None)
    transactional: bool = False
    saw: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
    begun_at: datetime | None = moment(default=None)  # when the last attempt began, by the database's clock
    provider: str = ""  # who was to deliver it
    sent_to: str = ""  # a keyed hash of the addresses that the last attempt was for
    doubted: bool = False  # an attempt of it was in doubt once: it may have arrived more than once, or not at all
    doubted_at: datetime | None = moment(default=None)  # when the first of those began, by the database's clock
    happened: dict[str, Any] = Field(default_factory=dict, sa_type=Document)  # what became of it: delivered, opened …, and when
    why: str = Field(default="", sa_type=Text)  # what it told its reader of why they get it


class InboxCard(SQLModel, table=True):
    """An in-app message, in the person's inbox."""

    __tablename__ = "inbox"

    key: str = Field(primary_key=True)
    person_id: int = Field(foreign_key="people.id", index=True, sa_type=Id)
    title: str
    body: str = Field(sa_type=Text)
    action: str = ""
    action_url: str = ""
    at: datetime = moment()
    read_at: datetime | None = moment(default=None)


class MailboxItem(SQLModel, table=True):
    """What a development transport delivered in place of the world."""

    __tablename__ = "mailbox"

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    key: str
    person_id: int = Field(foreign_key="people.id", index=True, sa_type=Id)
    journey: str
    template: str
    channel: str
    recipient: str
    subject: str = ""
    text: str = Field(default="", sa_type=Text)
    html: str = Field(default="", sa_type=Text)
    at: datetime = moment(index=True)


class Assignment(SQLModel, table=True):
    """Which variant a person was given, for the life of the experiment."""

    __tablename__ = "assignments"

    person_id: int = Field(foreign_key="people.id", primary_key=True, sa_type=Id)
    experiment: str = Field(primary_key=True)
    variant: str
    at: datetime = moment()


class Operation(SQLModel, table=True):
    """The audit log: what an operator did, to whom or what, by which key, and why. It goes with the person it is about."""

    __tablename__ = "operations"

    id: int | None = Field(default=None, primary_key=True, sa_type=Id)
    run_id: str | None = Field(default=None, foreign_key="runs.id", index=True)
    action: str
    actor: str
    reason: str = Field(sa_type=Text)
    step: str = ""
    at: datetime = moment()
    person_id: int | None = Field(default=None, foreign_key="people.id", index=True, sa_type=Id)
    subject: str = ""  # what else it was done to: a key, or the keyed hash of an erased person's name
    key_name: str = ""  # of the key it was done with
    details: dict[str, Any] = Field(default_factory=dict, sa_type=Document)
