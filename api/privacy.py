"""A person's rights over HTTP: to have all that is known of them, and to be forgotten."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fastapi import APIRouter, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from temporalio.client import Client

from api.access import ADMIN, InOperator, InStore, InTemporal
from api.body import BoundedRoute
from api.errors import problems
from api.people import UserId
from events.erase import WAITS, erase, finish
from events.export import export
from events.lookup import Unknown
from store.session import Store

log = logging.getLogger(__name__)

WAIT_SECONDS = 5
LOOK_SECONDS = 0.2

router = APIRouter(route_class=BoundedRoute, tags=["People"], dependencies=ADMIN)

SAY_NO = problems(
    {404: "Nobody is known by that name.", 409: "That address is several people's.", 422: "X-Actor or X-Reason is missing."}
)


class Forgotten(BaseModel):
    """The person is nobody any more."""

    erased: bool = True
    histories_deleted: bool = Field(description="If not yet (202), workers go on until Temporal has none of them left.")


@router.delete("/v1/users/{user_id:path}", summary="Erase a person", responses=SAY_NO)
async def forget(user_id: UserId, store: InStore, temporal: InTemporal, operator: InOperator, response: Response) -> Forgotten:
    """Delete all that is known of a person. When this answers no row is left, and a late event recreates nobody."""
    erasure = await erase(store, user_id.replace("\0", ""), operator)
    if erasure is None:
        raise Unknown(f"nobody is known as {user_id!r}")
    done = temporal is not None and await _finished(store, temporal, erasure)
    response.status_code = 200 if done else 202
    return Forgotten(histories_deleted=done)


@router.get("/v1/users/{user_id:path}/export", summary="Export a person", responses=SAY_NO)
async def take_out(user_id: UserId, store: InStore, operator: InOperator) -> JSONResponse:
    """Return all that is known of a person: their rows in every table, and what the histories of their runs hold."""
    known: dict[str, Any] | None = await export(store, user_id.replace("\0", ""), operator)
    if known is None:
        raise Unknown(f"nobody is known as {user_id!r}")
    return JSONResponse(jsonable_encoder(known))


async def _finished(store: Store, temporal: Client, erasure: int) -> bool:
    """Wait a while for Temporal to delete the histories; the workers see to the rest."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not await finish(store, temporal, erasure):
                await asyncio.sleep(LOOK_SECONDS)
    except WAITS as error:  # among them TimeoutError
        log.warning("erasure %s goes on in the workers: %s", erasure, type(error).__name__)
        return False
    return True
