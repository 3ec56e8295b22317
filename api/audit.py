"""Keys and the audit log over HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlmodel import col, select

from api.access import ADMIN, InOperator, InStore, keyring_of
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.paging import Cursor, Limit
from events.keys import GRACE, Refused, Scope, Taken, add, listed, revoke, rotate
from store.tables import Operation, Person

router = APIRouter(route_class=BoundedRoute, tags=["Keys and audit"], dependencies=ADMIN)

KeyName = Annotated[str, Path(description="The key's name.", examples=["shop"])]


class KeyBody(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "shop", "scope": "ingest", "rate": 500}})

    name: str = Field(description="Letters, digits, dots, dashes and underscores, at most 64.")
    scope: Scope
    rate: float | None = Field(None, allow_inf_nan=False, description="Requests a second, above 0, by each API process.")
    expires_at: AwareDatetime | None = None


class RotateBody(BaseModel):
    """How the old secret goes."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"grace_seconds": 86400}})

    grace_seconds: int = Field(int(GRACE.total_seconds()), ge=0, le=31_536_000, description="How long the old secret stays valid.")


UNLESS_SAID = RotateBody()


class Minted(BaseModel):
    """A key's secret, which is shown this once."""

    name: str
    key: str


class KeyView(BaseModel):
    """A key, without its secret."""

    name: str
    scope: str
    rate: float | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To five minutes.")


class Keys(BaseModel):
    keys: list[KeyView]


class Revoked(BaseModel):
    """How many secrets of that name let nobody in any more."""

    revoked: int


class Entry(BaseModel):
    """What an operator did, and why."""

    at: datetime
    action: str
    actor: str
    reason: str
    key_name: str
    run_id: str | None
    user_id: str | None
    subject: str
    step: str
    details: dict[str, Any]


class Audit(BaseModel):
    """The newest first; `next` is where the next page begins."""

    entries: list[Entry]
    next: int | None


WRONG = problems({404: "There is no valid key of that name.", 422: "X-Actor or X-Reason is missing."})


@router.post("/v1/keys", summary="Make a key", status_code=201, responses=problems({409: "There is a key of that name."}))
async def make(request: Request, body: KeyBody, store: InStore, operator: InOperator) -> Minted:
    """Make a key. It works here at once, and in every API process within two seconds."""
    try:
        secret = await add(store, body.name, body.scope, operator, rate=body.rate, expires_at=body.expires_at)
    except Taken as why:
        raise Problem(409, "exists", str(why)) from None
    except Refused as why:
        raise Problem(422, "invalid", str(why)) from None
    keyring_of(request).forget()
    return Minted(name=body.name, key=secret)


@router.get("/v1/keys", summary="List the keys")
async def keys(store: InStore) -> Keys:
    """List every key that there is or was."""
    return Keys(keys=[KeyView(**each.model_dump()) for each in await listed(store)])


@router.post("/v1/keys/{name}/rotate", summary="Rotate a key", responses=WRONG)
async def turn(request: Request, name: KeyName, store: InStore, operator: InOperator, body: RotateBody = UNLESS_SAID) -> Minted:
    """Make a new secret for a key; the old one stays valid for a while, so that its users can change over."""
    grace = timedelta(seconds=body.grace_seconds)
    try:
        secret = await rotate(store, name.replace("\0", ""), operator, grace=grace)
    except Refused as why:
        raise Problem(404, "not_found", str(why)) from None
    keyring_of(request).forget()
    return Minted(name=name, key=secret)


@router.delete("/v1/keys/{name}", summary="Revoke a key", responses=WRONG)
async def end(request: Request, name: KeyName, store: InStore, operator: InOperator) -> Revoked:
    """Let nobody in by a key any more: here at once, and in every API process within two seconds."""
    try:
        count = await revoke(store, name.replace("\0", ""), operator)
    except Refused as why:
        raise Problem(404, "not_found", str(why)) from None
    keyring_of(request).forget()
    return Revoked(revoked=count)


@router.get("/v1/audit", summary="Read the audit log")
async def audit(store: InStore, before: Cursor = None, limit: Limit = 100) -> Audit:
    """List what operators did, the newest first: to whom or what, by which key, and why."""
    latest = select(Operation, Person.user_id).outerjoin(Person).order_by(col(Operation.id).desc()).limit(limit)
    if before is not None:
        latest = latest.where(col(Operation.id) < before)
    async with store.read() as session:
        found = (await session.exec(latest)).all()
    entries = [Entry(**each.model_dump(exclude={"id", "person_id"}), user_id=user_id) for each, user_id in found]
    return Audit(entries=entries, next=found[-1][0].id if len(found) == limit else None)
