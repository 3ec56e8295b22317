"""The HTTP API, whole: what it serves, and what it stands on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from temporalio.client import Client

from activities.provider_errors import provider_errors
from api import (
    audit,
    choices,
    collect,
    consents,
    endpoints,
    events,
    explain,
    health,
    held,
    inbox,
    journeys,
    mailbox,
    orders,
    people,
    privacy,
    relays,
    resend,
    runs,
    segments,
    stops,
    suppressions,
    tracking,
    twilio,
    unsubscribe,
)
from api.errors import handle_errors
from api.shed import Load
from connecting import connect, open_store
from events.gather import Gathering
from loading import load
from settings import Settings
from store.session import Store

ABOUT = (
    "User lifecycles as code. Apps send events with a write key, and show people their in-app messages with an inbox key; a read "
    "key may look at much, and an admin key does everything. "
    'Every error is `{"error": {"code", "message"}}`.'
)
TAGS = [
    {"name": "Events", "description": "What apps send, in the shape of Segment's HTTP tracking API."},
    {"name": "Runs", "description": "A person's way through a journey."},
    {"name": "Operators", "description": "Orders to a run. Each says who and why, and is recorded."},
    {"name": "Kill switches", "description": "Everything, a journey or a channel is stopped, and goes on."},
    {"name": "Journeys", "description": "What product teams wrote."},
    {"name": "Segments", "description": "Who belongs where, by what they did and who they are."},
    {"name": "People", "description": "Profiles, messages, inboxes and consents."},
    {"name": "Keys and audit", "description": "Who may do what, and who did what, and why."},
    {"name": "Health", "description": "How each part is."},
]
PARTS = (  # in this order: a person's door without more after it comes after those with
    events,
    runs,
    orders,
    journeys,
    segments,
    privacy,
    inbox,
    consents,
    suppressions,
    held,
    stops,
    endpoints,
    twilio,
    unsubscribe,
    resend,
    relays,
    tracking,
    explain,
    people,
    audit,
    health,
    choices,
    mailbox,
)


def create_app(settings: Settings, store: Store | None = None, temporal: Client | None = None) -> FastAPI:
    """Return the API. What it is not given it opens when it starts, with its journeys; Temporal may come up later, or go away.

    Raises BadProviderErrors.
    """
    provider_errors(settings.provider_errors)  # which Twilio's callbacks go by
    app = FastAPIOffline(  # its own scripts, for machines that reach no CDN
        redoc_url=None,
        title="Sojourn",
        version="1",
        description=ABOUT,
        openapi_tags=TAGS,
        lifespan=_up,
        strict_content_type=False,
        redirect_slashes=False,
    )
    app.state.settings, app.state.temporal, app.state.load = settings, temporal, Load()
    if store is not None:
        _stand_on(app, store)
    handle_errors(app)
    for part in (collect, *PARTS):
        app.routes.extend(part.router.routes)  # not included: FastAPI would build each anew, in each app
    return app


@asynccontextmanager
async def _up(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    load(settings.journeys)
    opened = None if hasattr(app.state, "store") else open_store(settings)
    if opened is not None:
        _stand_on(app, opened)
    app.state.temporal = app.state.temporal or await connect(settings, lazy=True)
    yield
    await app.state.gathering.close()
    if opened is not None:
        await opened.close()


def _stand_on(app: FastAPI, store: Store) -> None:
    app.state.store, app.state.gathering = store, Gathering(store)
