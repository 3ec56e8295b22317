"""People over HTTP: their profile, runs, messages and consents."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.access import READ, InApp, InClock, InSettings, InStore, SeesAll
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.paging import Limit
from api.views import ConsentView, DeviceView, MessageView, RunSummary, UserView, summary_of
from events.accept import retrying
from events.calls import ID_BYTES, Clock
from events.lookup import Unknown, find
from events.meeting import meet_one
from events.operators import Operator
from events.standing import IN
from store.session import Store
from store.tables import Consent, Delivery, Device, Identity, Membership, Person, Run
from workflows.clock import zone
from workflows.segments import LIFECYCLE, SEGMENTS
from workflows.traits import is_private

router = APIRouter(route_class=BoundedRoute, tags=["People"], dependencies=READ)

UserId = Annotated[
    str,
    Path(
        description="A userId, or another name of the person's: anon:…, email:…, phone:… or token:….",
        examples=["user-42"],
    ),
]


class ConsentBody(BaseModel):
    """What a person said about a topic."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"topic": "community", "channel": "email", "granted": False, "source": "settings"}},
    )

    topic: str = Field(min_length=1, max_length=255)
    channel: Literal["*", "email", "sms", "push", "in_app"] | None = Field(None, description="All channels unless given.")
    granted: bool
    source: str = Field(min_length=1, description="Where they said it.")


class Runs(BaseModel):
    runs: list[RunSummary]


class Messages(BaseModel):
    messages: list[MessageView]


async def someone(user_id: UserId, store: InStore) -> Person:
    """Return the person of that name, or answer 404; one who was erased is nobody any more."""
    async with store.read() as session:
        person = await find(session, user_id)
    if person is None:
        raise Unknown(f"nobody is known as {user_id!r}")
    return person


Someone = Annotated[Person, Depends(someone)]
UNKNOWN = problems({404: "Nobody is known by that name.", 409: "That address is several people's."})


@router.get("/v1/users/{user_id:path}/runs", summary="List a person's runs", responses=UNKNOWN)
async def runs(person: Someone, settings: InSettings, store: InStore, limit: Limit = 100) -> Runs:
    """List a person's runs through every journey, the newest first."""
    async with store.read() as session:
        mine = select(Run).where(Run.person_id == person.id).order_by(col(Run.id).desc()).limit(limit)
        found = (await session.exec(mine)).all()
    return Runs(runs=[summary_of(run, settings) for run in found])


@router.get("/v1/users/{user_id:path}/messages", summary="List a person's messages", responses=UNKNOWN)
async def messages(person: Someone, store: InStore, limit: Limit = 100) -> Messages:
    """List what runs meant to send to a person, the newest first: sent or not, and for which one reason."""
    async with store.read() as session:
        mine = select(Delivery).where(Delivery.person_id == person.id).order_by(col(Delivery.at).desc()).limit(limit)
        found = (await session.exec(mine)).all()
    return Messages(
        messages=[MessageView(**each.model_dump(), run=each.run_id, segments=each.saw.get("segments")) for each in found]
    )


@router.put("/v1/users/{user_id:path}/consent", summary="Record a consent or an opt-out", responses=UNKNOWN)
async def consent(user_id: UserId, body: ConsentBody, store: InStore, clock: InClock, by: InApp) -> ConsentView:
    """Record what a person said. The latest word on a topic and channel holds; a new user is kept, so that a no is."""
    if "\0" in user_id or len(user_id.encode()) > ID_BYTES:
        raise Problem(422, "invalid", f"user_id: at most {ID_BYTES} bytes, without NUL")
    row = await retrying(lambda: _record(store, user_id, body, clock, by))
    return ConsentView(**row.model_dump())


async def _record(store: Store, user_id: str, body: ConsentBody, clock: Clock, by: Operator) -> Consent:
    said: dict[str, Any] = {**body.model_dump(), "channel": body.channel or "*"}
    async with store.write() as session:
        person = await meet_one(session, user_id, clock)
        if person is None or person.id is None:
            raise Unknown(f"nobody is known as {user_id!r}")
        row = Consent(**said, person_id=person.id, at=clock.at)
        session.add_all((row, by.did("consent", person_id=person.id, details=said)))
    return row


@router.get("/v1/users/{user_id:path}", summary="Look at a person", responses=UNKNOWN)
async def look(person: Someone, store: InStore, sees_all: SeesAll) -> UserView:
    """Say what is known of a person: with an admin key, their private traits too."""
    async with store.read() as session:
        devices = (await session.exec(select(Device).where(Device.person_id == person.id).order_by(col(Device.seen_at)))).all()
        consents = await _in_force(session, person)
        names = (await session.exec(select(Identity.name).where(Identity.person_id == person.id).order_by(Identity.name))).all()
        places = (await session.exec(select(Membership).where(Membership.person_id == person.id))).all()
    return UserView(
        names=list(names),
        **person.model_dump(include={"user_id", "zone", "locale", "email", "phone", "created_at"}),
        traits={name: value for name, value in person.traits.items() if sees_all or not is_private(name)},
        zone_known=zone(person.zone) is not None,
        state=next((each.value for each in places if each.segment == LIFECYCLE and each.value), None),
        segments=sorted(each.segment for each in places if each.value == IN and each.segment in SEGMENTS),
        devices=[DeviceView(**each.model_dump()) for each in devices],
        consents=consents,
    )


async def _in_force(session: AsyncSession, person: Person) -> list[ConsentView]:
    """Return the last word on each topic and channel."""
    said = await session.exec(select(Consent).where(Consent.person_id == person.id).order_by(col(Consent.id)))
    latest = {(each.topic, each.channel): each for each in said.all()}
    return [ConsentView(**each.model_dump()) for _, each in sorted(latest.items())]
