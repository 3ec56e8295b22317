"""What people want to hear of, over HTTP: consents with their history, preferences, and the link to the preference page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator
from sqlmodel import col, select

from api.access import READ, InApp, InClock, InSettings, InStore
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.paging import Cursor, Limit
from api.people import UNKNOWN, Someone, UserId
from api.views import ConsentView, consent_of
from events.accept import retrying
from events.calls import ID_BYTES, Clock
from events.consents import ALL, Word, say
from events.lookup import Unknown
from events.meeting import meet_one
from events.operators import Operator
from events.preferences import UNCHANGED, Preferences, Wish, preferences, wish
from store.links import preferences_url
from store.session import Store
from store.tables import Consent
from workflows.reading import read_by

router = APIRouter(route_class=BoundedRoute, tags=["People"], dependencies=READ)

Channel = Literal["*", "email", "sms", "push", "in_app"]
NAMED = "a yes names its topic; '*', all topics, is for a no"


class ConsentBody(BaseModel):
    """What a person said about a topic."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "topic": "community",
                "channel": "email",
                "granted": True,
                "source": "sign-up form",
                "wording": "Yes, write to me about the community. (2026-03)",
                "evidence": {"form": "sign-up-4"},
            }
        },
    )

    topic: str = Field(min_length=1, max_length=255, description="'*' in a no to all topics.")
    channel: Channel | None = Field(None, description="All channels unless given.")
    granted: bool
    source: str = Field(min_length=1, description="Where they said it.")
    wording: str = Field("", max_length=4096, description="The text that they agreed to, or its version.")
    evidence: dict[str, Any] = Field(default_factory=dict, description="What else shows that it was them.")

    @field_validator("granted")
    @classmethod
    def _names_its_topic(cls, granted: bool, info: Any) -> bool:
        if granted and info.data.get("topic") == ALL:
            raise ValueError(NAMED)
        return granted


class HistoryEntry(ConsentView):
    """What was said: when, how and from where. `actor` is who recorded it."""

    wording: str
    evidence: dict[str, Any]
    actor: str


class History(BaseModel):
    """The newest first; `next` is where the next page begins."""

    consents: list[HistoryEntry]
    next: int | None


class PlaceView(BaseModel):
    """`granted`: messages of the topic go out on that channel. `pending`: they will, once the person has confirmed it."""

    granted: bool
    pending: bool


class TopicView(BaseModel):
    """A topic, on each channel that the person can be reached on."""

    topic: str
    title: str
    about: str
    channels: dict[str, PlaceView]


class PreferencesView(BaseModel):
    """What holds for a person now."""

    topics: list[TopicView]
    fewer: bool
    paused_until: datetime | None


class PreferencesBody(BaseModel):
    """What is to be different; the rest stays. `topics` is by name, then by channel; '*' is all of them, but for what is named."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"topics": {"community": {"email": False}}, "fewer": True, "paused_until": None, "source": "settings"}
        },
    )

    topics: dict[str, dict[Channel, bool]] = Field(default_factory=dict, max_length=100)
    fewer: bool | None = None
    paused_until: AwareDatetime | None = Field(None, description="null ends a pause.")
    source: str = Field(min_length=1, description="Where they said it.")
    wording: str = Field("", max_length=4096)
    evidence: dict[str, Any] = Field(default_factory=dict)

    @field_validator("topics")
    @classmethod
    def _are_named(cls, topics: dict[str, dict[Channel, bool]]) -> dict[str, dict[Channel, bool]]:
        if any(not 0 < len(topic) <= 255 for topic in topics):
            raise ValueError("a topic's name has 1 to 255 characters")
        if True in topics.get(ALL, {}).values():
            raise ValueError(NAMED)
        return topics

    @field_validator("paused_until")
    @classmethod
    def _can_be_told(cls, until: datetime | None) -> datetime | None:
        """A pause is told by the clock where they are, so its end is a moment everywhere."""
        if until is not None and not 1970 <= until.year <= 9000:
            raise ValueError("a pause ends between the years 1970 and 9000")
        return until


class LinkView(BaseModel):
    """Where the person finds their preference page. Whoever has the link may change what it shows: give it to them alone."""

    url: str


@router.put("/v1/users/{user_id:path}/consent", summary="Record a consent or an opt-out", responses=UNKNOWN)
async def consent(user_id: UserId, body: ConsentBody, store: InStore, clock: InClock, by: InApp) -> ConsentView:
    """Record what a person said. The latest word on a topic and channel holds; a new user is kept, so that a no is.

    A yes to e-mails of a topic with double opt-in is pending until it is confirmed by the link in the mail that goes out.
    """
    _fit(user_id)
    return await retrying(lambda: _record(store, user_id, body, clock, by))


async def _record(store: Store, user_id: str, body: ConsentBody, clock: Clock, by: Operator) -> ConsentView:
    word = Word(**{**body.model_dump(), "channel": body.channel or ALL})
    async with store.write() as session:
        person = await meet_one(session, user_id, clock)
        if person is None:
            raise Unknown(f"nobody is known as {user_id!r}")
        rows = await say(session, person, [word], clock, by.actor)
        said = {"topic": word.topic, "channel": word.channel, "granted": word.granted, "source": word.source}
        session.add(by.did("consent", person_id=person.id, details=said))
    whole = rows[0].model_copy(update={"channel": word.channel, "pending": any(row.pending for row in rows)})
    return consent_of(whole)


@router.get("/v1/users/{user_id:path}/consents", summary="Read the history of a person's consents", responses=UNKNOWN)
async def history(person: Someone, store: InStore, before: Cursor = None, limit: Limit = 100) -> History:
    """List all that a person has said, the newest first: when, how and from where."""
    theirs = select(Consent).where(Consent.person_id == person.id).order_by(col(Consent.id).desc()).limit(limit)
    if before is not None:
        theirs = theirs.where(col(Consent.id) < before)
    async with store.read() as session:
        found = (await session.exec(theirs)).all()
    return History(consents=[_entry(each) for each in found], next=found[-1].id if len(found) == limit else None)


@router.get("/v1/users/{user_id:path}/preferences", summary="Read a person's preferences", responses=UNKNOWN)
async def read(person: Someone, store: InStore, clock: InClock, settings: InSettings) -> PreferencesView:
    """Say of which topics a person is written to on which channel, whether they want fewer messages, and their pause."""
    async with store.read() as session:
        held = await preferences(session, person, clock.at)
    return _view(held, [person.locale, settings.locale])


@router.put("/v1/users/{user_id:path}/preferences", summary="Change a person's preferences", responses=UNKNOWN)
async def change(
    user_id: UserId, body: PreferencesBody, store: InStore, clock: InClock, settings: InSettings, by: InApp
) -> PreferencesView:
    """Change what a person wants, as they say. What is not named stays; it holds for the very next message."""
    _fit(user_id)
    return await retrying(lambda: _change(store, user_id, body, clock, [settings.locale], by))


async def _change(
    store: Store, user_id: str, body: PreferencesBody, clock: Clock, languages: list[str], by: Operator
) -> PreferencesView:
    async with store.write() as session:
        person = await meet_one(session, user_id, clock)
        if person is None:
            raise Unknown(f"nobody is known as {user_id!r}")
        await wish(session, person, _wish(body), clock, by.actor)
        details = body.model_dump(mode="json", include=body.model_fields_set - {"wording", "evidence"})
        session.add(by.did("preferences", person_id=person.id, details=details))
        held = await preferences(session, person, clock.at)
    return _view(held, [person.locale, *languages])


@router.post(
    "/v1/users/{user_id:path}/preferences-link",
    summary="Make the link to a person's preference page",
    responses=problems({404: "Nobody is known by that name.", 409: "That address is several people's."}),
)
async def make_link(person: Someone, store: InStore, settings: InSettings, by: InApp) -> LinkView:
    """Return a signed link to a person's preference page, which asks for no login."""
    assert person.id is not None
    async with store.write() as session:
        session.add(by.did("preferences-link", person_id=person.id))
    return LinkView(url=preferences_url(settings, person.id))


def _fit(user_id: str) -> None:
    if "\0" in user_id or len(user_id.encode()) > ID_BYTES:
        raise Problem(422, "invalid", f"user_id: at most {ID_BYTES} bytes, without NUL")


def _entry(row: Consent) -> HistoryEntry:
    more = row.model_dump(include={"wording", "evidence", "actor"})
    return HistoryEntry(**consent_of(row).model_dump(), **more)


def _wish(body: PreferencesBody) -> Wish:
    wanted: dict[tuple[str, str], bool] = {
        (topic, channel): yes for topic, channels in body.topics.items() for channel, yes in channels.items()
    }
    paused: Any = body.paused_until if "paused_until" in body.model_fields_set else UNCHANGED
    wording: Mapping[str, str] = dict.fromkeys(body.topics, body.wording)
    return Wish(wanted, body.fewer, paused, body.source, wording, body.evidence)


def _view(held: Preferences, languages: list[str]) -> PreferencesView:
    topics = [
        TopicView(
            topic=each.topic.name,
            title=read_by(each.topic.title, languages),
            about=read_by(each.topic.about, languages),
            channels={place.channel: PlaceView(granted=place.granted, pending=place.pending) for place in each.places},
        )
        for each in held.choices
    ]
    return PreferencesView(topics=topics, fewer=held.fewer, paused_until=held.paused_until)
