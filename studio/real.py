"""Plays a scenario through the HTTP API, the router, a worker and the real server, with time skipping."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import select

from demo.player import Call
from store import tables
from store.links import confirm_url
from store.session import Store
from store.tables import Assignment
from studio.addresses import email_of
from studio.calls import ON_CALL, call, introduction
from studio.house import House
from studio.scenario import Scenario, only, under
from studio.teller import Teller
from workflows.happenings import Confirm, Happening, Person
from workflows.policy import in_force


async def play(house: House, scenario: Scenario) -> None:
    """Live a scenario's life in a house that does not know the person yet; what came of it is in the store then.

    What providers answer (`receipts`) is not of it. Runs that are open at its end stay so: `House.end_open_runs` ends them.
    """
    person, start = scenario.person, scenario.start
    teller = Teller(house.store, house.temporal, house.api, house.settings)
    with only(scenario.journeys), under(scenario.policy or in_force()):
        await teller.live(person.user.id, [introduction(person, start)], start)
        calls = [await _made(house, person, at, happening) for at, happening in scenario.happenings]
        await _assign(house.store, person.user.id, scenario.variants, start)
        await teller.live(person.user.id, calls, scenario.until)


async def release_all(house: House) -> None:
    """Leave nothing stopped, for whoever is played next in this house."""
    for stop in (await house.api.get("/v1/stops")).json()["stops"]:
        if stop["released_at"] is None:
            path = "/".join(filter(None, ("/v1/stops", stop["scope"], stop["name"], "release")))
            (await house.api.post(path, json={"choice": "skip"}, headers=ON_CALL)).raise_for_status()


async def _made(house: House, person: Person, at: datetime, happening: Happening) -> Call:
    """Return the call that is made of a happening; a yes is confirmed as its mail says, by the button on the page."""
    if not isinstance(happening, Confirm):
        return call(person, at, happening)
    id = await _id_of(house.store, person.user.id)
    url = confirm_url(house.settings, id, email_of(person), happening.topic)
    return Call(at, url.removeprefix(house.settings.public_url), {})


async def _assign(store: Store, user: str, variants: Mapping[str, str], at: datetime) -> None:
    id = await _id_of(store, user)
    async with store.write() as session:
        for experiment, variant in variants.items():
            session.add(Assignment(person_id=id, experiment=experiment, variant=variant, at=at))


async def _id_of(store: Store, user: str) -> int:
    async with store.read() as session:
        return (await session.exec(select(tables.Person.id).where(tables.Person.user_id == user))).one() or 0
