"""Why somebody got a message, or did not, over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.access import READ, InSettings, InStore, InTemporal, SeesAll
from api.body import BoundedRoute
from api.errors import Problem, problems
from api.people import Someone
from events.explain import Question
from events.explain import explain as answer
from events.explanation import Explanation, NoSuch
from events.wire import fit

router = APIRouter(route_class=BoundedRoute, tags=["People"], dependencies=READ)

InJourney = Annotated[str, Query(max_length=255, description="One journey; all of them unless given.", examples=["onboarding"])]
OfMessage = Annotated[
    str,
    Query(
        max_length=1000,
        description="One message: its template, channel/template, step, or idempotency key.",
        examples=["welcome"],
    ),
]


@router.get(
    "/v1/users/{user_id:path}/explain",
    summary="Say why somebody got a message, or did not",
    responses=problems(
        {
            404: "There is no such person, journey or message; the error says what there is.",
            409: "That address is several people's.",
        }
    ),
)
async def explain(
    person: Someone,
    settings: InSettings,
    store: InStore,
    temporal: InTemporal,
    sees_all: SeesAll,
    journey: InJourney = "",
    message: OfMessage = "",
) -> Explanation:
    """Say, in a sentence each, what became of a person's runs and messages, and why: the rule that said no, and the facts it saw.

    Also why no run began, and, of a message that is not sent, what the gate would decide now.
    """
    try:
        return await answer(store, settings, temporal, Question(person, fit(journey), fit(message), sees_all))
    except NoSuch as what:
        raise Problem(404, "not_found", str(what)) from None
