"""What happens to a message is told by Sojourn alone, and is nothing that its person does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from sqlmodel import select

from events.calls import Clock, understand
from events.outcomes import Outcome, What, came
from events.route import Router
from store.session import Store
from store.tables import Delivery, Person, Run
from tests.events.crowd import DAY, LIVING, Visited, crowd
from tests.events.test_segments import HOUR, START, route, router, sweep_all, track, values
from workflows.definition import Event
from workflows.message_events import KINDS
from workflows.segments import performed

__all__ = ["router"]


@pytest.mark.parametrize("kind", KINDS.values())
def test_apps_cannot_say_what_happened_to_a_message(kind: type[Event]) -> None:
    call = understand({"userId": "ada", "event": kind.name, "properties": {"message": "r_1:send:1"}}, "track", Clock(START))
    assert call.status == "invalid"
    assert "apps cannot send this event" in call.error


@pytest.mark.parametrize("kind", KINDS.values())
def test_no_segment_asks_for_what_happened_to_a_message(kind: type[Event]) -> None:
    with pytest.raises(TypeError, match="it happens to a message, and is nothing that a person does in the product"):
        performed(kind)


@pytest.mark.parametrize(
    ("counts", "state"),
    [((), "dormant"), (LIVING.counts, "dormant"), ((*LIVING.counts, "message_clicked"), "resurrected")],
    ids=["all that apps send counts", "some of it counts", "clicks are declared to count"],
)
async def test_what_happens_to_a_message_makes_nobody_active_unless_it_is_declared_to(
    store: Store, router: Router, counts: tuple[str, ...], state: str
) -> None:
    with crowd(living=replace(LIVING, counts=counts)):
        await track(store, "ada", Visited(), START)
        await route(router)
        later = START + 20 * DAY
        await sweep_all(store, later)
        assert (await values(store, "ada"))["lifecycle"] == "dormant"
        await add_message(store, "ada", "r_1:send:1")
        for what in get_args(What):
            await came(store, Outcome(what, f"{what}-1", later, key="r_1:send:1"), Clock(later))
        await route(router)
        await sweep_all(store, later + HOUR)
        assert (await values(store, "ada"))["lifecycle"] == state


async def add_message(store: Store, user: str, key: str) -> None:
    run_id, _, step = key.partition(":")
    async with store.write() as session:
        person = (await session.exec(select(Person).where(Person.user_id == user))).one()
        how: dict[str, Any] = {"person_id": person.id, "journey": "gone"}
        times: dict[str, Any] = {"started_at": START, "requested_at": START, "ended_at": START}
        session.add(Run(id=run_id, **how, version=1, workflow_id="gone", trigger="gone", **times))
        await session.flush()
        about: dict[str, Any] = {"channel": "email", "template": "note", "topic": "gone", "status": "sent"}
        session.add(Delivery(key=key, run_id=run_id, step=step, at=START, **how, **about))
