"""People over HTTP: their profile, runs and messages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.access import READ, InSettings, InStore, SeesAll
from api.body import BoundedRoute
from api.errors import problems
from api.paging import Limit
from api.views import ConsentView, DeviceView, MessageView, RunSummary, SuppressionView, UserView, consent_of, summary_of
from events.explanation import visible
from events.lookup import Unknown, find
from events.standing import IN
from events.suppress import names_of, suppressed
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
async def messages(person: Someone, store: InStore, sees_all: SeesAll, limit: Limit = 100) -> Messages:
    """List what runs meant to send to a person, the newest first: sent or not, and for which one reason."""
    async with store.read() as session:
        mine = select(Delivery).where(Delivery.person_id == person.id).order_by(col(Delivery.at).desc()).limit(limit)
        found = (await session.exec(mine)).all()
    return Messages(messages=[_message(each, sees_all) for each in found])


def _message(row: Delivery, sees_all: bool) -> MessageView:
    saw = visible(row.saw, sees_all=sees_all)
    return MessageView(**row.model_dump(exclude={"saw"}), run=row.run_id, saw=saw, segments=saw.get("segments"))


@router.get("/v1/users/{user_id:path}", summary="Look at a person", responses=UNKNOWN)
async def look(person: Someone, store: InStore, sees_all: SeesAll) -> UserView:
    """Say what is known of a person: with an admin key, their private traits too."""
    async with store.read() as session:
        devices = (await session.exec(select(Device).where(Device.person_id == person.id).order_by(col(Device.seen_at)))).all()
        consents = await _in_force(session, person)
        names = (await session.exec(select(Identity.name).where(Identity.person_id == person.id).order_by(Identity.name))).all()
        places = (await session.exec(select(Membership).where(Membership.person_id == person.id))).all()
        stopped = await suppressed(await session.connection(), names_of(person))
    return UserView(
        names=list(names),
        **person.model_dump(include={"user_id", "zone", "locale", "email", "phone", "created_at", "paused_until", "fewer"}),
        traits={name: value for name, value in person.traits.items() if sees_all or not is_private(name)},
        zone_known=zone(person.zone) is not None,
        state=next((each.value for each in places if each.segment == LIFECYCLE and each.value), None),
        segments=sorted(each.segment for each in places if each.value == IN and each.segment in SEGMENTS),
        devices=[DeviceView(**each.model_dump()) for each in devices],
        consents=consents,
        suppressions=[SuppressionView(**each) for each in stopped],
    )


async def _in_force(session: AsyncSession, person: Person) -> list[ConsentView]:
    """Return the last word on each topic and channel."""
    said = await session.exec(select(Consent).where(Consent.person_id == person.id).order_by(col(Consent.id)))
    latest = {(each.topic, each.channel): each for each in said.all()}
    return [consent_of(each) for _, each in sorted(latest.items())]
